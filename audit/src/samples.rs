//! The sample records of `testdata/samples`, one of every kind: golden vectors for the tests of this crate.

/// One sample.
pub(crate) struct Sample {
    /// Its index in its log.
    pub(crate) index: u64,
    /// Its exact bytes.
    pub(crate) bytes: &'static [u8],
    /// Its leaf, in hex.
    pub(crate) leaf: &'static str,
}

macro_rules! samples {
    ($($index:literal $file:literal $leaf:literal)*) => {
        &[$(Sample {
            index: $index,
            bytes: include_bytes!(concat!("../testdata/samples/", $file, ".json")),
            leaf: $leaf,
        },)*]
    };
}

/// Origin of the sample log.
pub(crate) const ORIGIN: &str = "audit.example.com/keyward";

/// The sample log: indices 0 to 14.
pub(crate) const LOG: &[Sample] = samples! {
    0 "00-system" "7836df12bcae6327b242d418129bf2131fd99d77792e3b25efd6a6490bc64b29"
    1 "01-policy-change" "0e62029b0f0ee2f9c006e58b24dde6f849dc6abc018213efc91910fec599baab"
    2 "02-access" "0310216dfa09fc8fa5bd8183ade1e206666cc1f8c9f032b8460879bf70b4c3c3"
    3 "03-access" "bed183799f102d8e46e0278b76b7c08910237c9cddae8be2795733b108218ebd"
    4 "04-access" "c4db4a55cda87cb49871cdbe17de0f37368cdcc1f9c37e561f12c09d0f5d855d"
    5 "05-access" "a250ea85c42a0994ecd666d01a9ef4bcd1f6b40095e0dbbd86292ad869a08438"
    6 "06-access" "b36a8a7d3758b0865cec5731c108813813bb84b1e5e6739ee8ca80f5b7c52349"
    7 "07-unauthenticated" "cbd178caf3fdd72077c843b1f689394cc66483b10a849313346148440fbc465b"
    8 "08-summary" "a8a50ac981561b4db6e3eda6cc758d710153afba0b66938cf7719cd97bcce585"
    9 "09-access" "8ea55c13e57eafe856ea09f0473912b18d9cfb32bb9a74b333dd7185b5e77ae5"
    10 "10-outcome" "3d5e115fa38ffb0482932ac6ad8c6cac0814bbe35d66263bee17c2ef19903dd9"
    11 "11-clock-step" "6abcb594b09d0acb83f750856e58dd193c6903332b27e0dc4719a0c54d4852a8"
    12 "12-seal" "ab7f88348379ed2069aed536ad4c44139709c4d1cf100e274b04041de4b829b1"
    13 "13-key-rotation" "c9cbd64c062b37ae61de2de6a9b1c5d551ea2512a149357595b0012497c809e9"
    14 "14-loss" "f74d8494525a1bf62d4f3586372652f9da82b76e4fe73d31e5ecf262d58f4b0f"
};

/// Samples of the remaining kinds; they are of no log.
pub(crate) const SINGLE: &[Sample] = samples! {
    70000 "70000-hold" "1f003a0405219bcfb1a401b9e55084520fddd6a4dd5c499f7d417aeabed0da65"
    70001 "70001-prune" "a22ffa417f66ee98ea6ec8f7d473bbfd3cb5000c88240c62a89c8a8713445507"
    70002 "70002-purge" "7a42d0c27781f613074e1f917a9e2c04ee8f6cb93247b8b0ff813d77b823dce2"
};

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Sample> {
    LOG.iter().chain(SINGLE)
}

/// The seed of the sample keys that begins with `first` and counts up.
pub(crate) fn seed(first: u8) -> [u8; 32] {
    std::array::from_fn(|place| first + u8::try_from(place).unwrap())
}
