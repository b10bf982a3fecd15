//! Random choices that a seed repeats: SplitMix64.

/// A seeded source of choices.
pub(in crate::authz) struct Dice(u64);

impl Dice {
    pub(in crate::authz) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::authz) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(in crate::authz) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("a small number")
    }

    /// True `part` times in a hundred.
    pub(in crate::authz) fn percent(&mut self, part: usize) -> bool {
        self.below(100) < part
    }

    /// One of a list.
    pub(in crate::authz) fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Some of a list, between `least` and `most` draws, without repeats.
    pub(in crate::authz) fn some<'a>(&mut self, list: &[&'a str], least: usize, most: usize) -> Vec<&'a str> {
        let mut drawn = Vec::new();
        for _ in 0..least + self.below(most - least + 1) {
            let one = self.one(list);
            if !drawn.contains(&one) {
                drawn.push(one);
            }
        }
        drawn
    }

    /// A text of one to `most` characters of an alphabet.
    pub(in crate::authz) fn word(&mut self, alphabet: &str, most: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..=self.below(most)).map(|_| self.one(&letters)).collect()
    }

    /// The same things in another order.
    pub(in crate::authz) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}
