//! Random changes of known inputs: bits, bytes, ranges, words of the formats, and pieces of other inputs.

/// Longest input, in bytes: above every limit that a parser checks first, but for the body of a request.
const INPUT_BYTES_MAX: usize = 80_000;
/// What the formats are made of, and what they must not contain.
const WORDS: [&str; 34] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "0",
    "1.0",
    "1e9",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\\\"",
    "\u{0}",
    "\n",
    "\n\n",
    "\r\n",
    "\u{feff}",
    "é",
    "\u{202e}",
    "../",
    "//",
    "*",
    "?",
    "${uin}",
    "%2e",
    "— ",
    "+",
    "=",
    ".",
];

/// A seeded source of choices (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap()
    }

    /// A range within `length`, more often short than long.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.below(length);
        let longest = if self.below(4) == 0 { length } else { 8 };
        (from, from.saturating_add(self.below(longest)).min(length))
    }

    /// One of the seeds, changed one to eight times.
    pub(crate) fn mutation(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(8) {
            self.change(&mut input, seeds);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len().saturating_add(1));
        match self.below(8) {
            0 => {
                let bit = self.below(8);
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            1 => {
                let value = self.next().to_le_bytes()[0];
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
            }
            2 => {
                let (from, to) = self.range(input.len());
                input.drain(from..to);
            }
            3 => {
                let (from, to) = self.range(input.len());
                let piece = input[from..to].repeat(1 + self.below(3));
                splice(input, at, &piece);
            }
            4 | 5 => {
                let word = WORDS[self.below(WORDS.len())];
                splice(input, at, word.as_bytes());
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let (from, to) = self.range(other.len());
                splice(input, at, &other[from..to]);
            }
            _ => self.renumber(input),
        }
    }

    /// Moves one of the decimal digits.
    fn renumber(&mut self, input: &mut [u8]) {
        let digits = input.iter().filter(|byte| byte.is_ascii_digit()).count();
        let which = self.below(digits);
        let digit = b'0' + u8::try_from(self.below(10)).unwrap();
        input.iter_mut().filter(|byte| byte.is_ascii_digit()).skip(which).take(1).for_each(|byte| *byte = digit);
    }
}

fn splice(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

#[test]
fn the_mutations_reach_what_a_parser_must_refuse() {
    let seeds = [br#"{"name":"value","number":12}"#.to_vec(), b"second".to_vec()];
    let mut dice = Dice::new(1);
    let inputs: Vec<Vec<u8>> = (0..3_000).map(|_| dice.mutation(&seeds)).collect();
    let some = |is: &dyn Fn(&Vec<u8>) -> bool| inputs.iter().any(is);
    assert!(some(&|input| input.contains(&0)));
    assert!(some(&|input| input.is_empty()) || some(&|input| input.len() < 5));
    assert!(some(&|input| std::str::from_utf8(input).is_err()));
    assert!(some(&|input| input.windows(4).any(|part| part == b"null")));
    assert!(some(&|input| input.starts_with(b"{\"name") && input.windows(3).any(|part| part == b"sec")));
}
