//! Text as HTML forms encode it: `%41` is a byte, `+` a space (WHATWG URL, application/x-www-form-urlencoded).

/// The bytes that `text` stands for; none if a `%` has no two hexadecimal digits behind it.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut decoded = [0];
                hex::decode_to_slice([rest.next()?, rest.next()?], &mut decoded).ok()?;
                let [byte] = decoded;
                byte
            }
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn what_is_cut_short_or_no_hexadecimal_is_refused() {
        assert_eq!(decode("a+b%20c%2B%e2%82%AC").as_deref(), Some("a b c+\u{20ac}".as_bytes()));
        assert_eq!(decode("%ff").as_deref(), Some([0xff].as_slice()));
        for cut in ["%", "%4", "a%4", "%g0", "%0g", "%+1", "%%41"] {
            assert_eq!(decode(cut), None, "{cut}");
        }
    }
}
