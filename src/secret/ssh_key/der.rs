//! As much of DER (X.690) as it takes to read a private key that the crypto library wrote.

/// What is left to read.
pub(super) struct Der<'a>(pub(super) &'a [u8]);

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

impl<'a> Der<'a> {
    /// The content of a SEQUENCE.
    pub(super) fn sequence(&mut self) -> Option<&'a [u8]> {
        self.element(SEQUENCE)
    }

    /// The digits of an INTEGER, most significant first.
    pub(super) fn integer(&mut self) -> Option<&'a [u8]> {
        self.element(INTEGER)
    }

    /// The bytes of an OCTET STRING.
    pub(super) fn octets(&mut self) -> Option<&'a [u8]> {
        self.element(OCTETS)
    }

    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let rest = self.0.strip_prefix(&[tag])?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // So many bytes of length follow, most significant first.
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_each_length_are_read_and_what_is_cut_is_not() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let header = match length {
                0..128 => vec![OCTETS, u8::try_from(length).unwrap()],
                128..256 => vec![OCTETS, 0x81, u8::try_from(length).unwrap()],
                _ => [&[OCTETS, 0x83][..], &u32::try_from(length).unwrap().to_be_bytes()[1..]].concat(),
            };
            let whole = [header, content.clone(), vec![0xff]].concat();
            let mut der = Der(&whole);
            assert_eq!((der.octets(), der.0), (Some(content.as_slice()), [0xff].as_slice()));
            let mut cut = Der(&whole[..whole.len() - 2]);
            assert_eq!(cut.octets(), None);
        }
        assert_eq!(Der(&[OCTETS, 0x80]).octets(), None);
        assert_eq!(Der(&[OCTETS, 0x85, 0, 0, 0, 0, 0]).octets(), None);
        assert_eq!(Der(&[INTEGER, 1, 7]).octets(), None);
    }
}
