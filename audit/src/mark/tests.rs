use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn mark(size: u64) -> Mark {
    Mark {
        generation: 0,
        epoch: 3,
        size,
        chain: [0x11; 32],
        root: [0x22; 32],
        origin_hash: [0x33; 32],
        signed_size: size / 2,
        signed_root: [0x44; 32],
        time_us: 1_700_000_000_000_000,
    }
}

struct Place {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { path: directory.path().join("hwm"), _directory: directory }
    }

    /// A file with the marks of sizes 1 to `writes` written into it.
    fn with_marks(writes: u64) -> (Self, MarkFile) {
        let place = Self::new();
        let mut file = MarkFile::create(&place.path).unwrap();
        for size in 1..=writes {
            file.write(&mark(size)).unwrap();
        }
        (place, file)
    }

    fn newest(&self) -> Mark {
        MarkFile::open(&self.path).unwrap().newest().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(&self.path).unwrap();
        change(&mut bytes);
        fs::write(&self.path, bytes).unwrap();
    }
}

#[test]
fn the_file_is_8_kib_and_only_its_owners() {
    let (place, file) = Place::with_marks(1);
    file.sync().unwrap();
    let metadata = fs::metadata(&place.path).unwrap();
    assert_eq!(metadata.len(), 8192);
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_slot_has_each_field_at_its_documented_place() {
    let mark = Mark {
        generation: 0x0102_0304_0506_0708,
        epoch: 0x1112_1314_1516_1718,
        size: 0x2122_2324_2526_2728,
        chain: [0x31; 32],
        root: [0x32; 32],
        origin_hash: [0x33; 32],
        signed_size: 0x4142_4344_4546_4748,
        signed_root: [0x51; 32],
        time_us: 0x6162_6364_6566_6768,
    };
    let slot = mark.encode();
    assert_eq!(slot.len(), 512);
    assert_eq!(&slot[0..8], b"KWHWM001");
    assert_eq!(slot[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(slot[16..24], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
    assert_eq!(slot[24..32], [0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28]);
    assert_eq!(slot[32..64], [0x31; 32]);
    assert_eq!(slot[64..96], [0x32; 32]);
    assert_eq!(slot[96..128], [0x33; 32]);
    assert_eq!(slot[128..136], [0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48]);
    assert_eq!(slot[136..168], [0x51; 32]);
    assert_eq!(slot[168..176], [0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68]);
    assert_eq!(slot[176..508], [0; 332]);
    assert_eq!(slot[508..512], castagnoli(&slot[..508]).to_be_bytes());
}

/// CRC-32C bit by bit (RFC 3720 B.4), to check the crate's against.
fn castagnoli(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 })
    })
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(castagnoli(b"123456789"), 0xE306_9283);
}

#[test]
fn marks_go_into_the_two_slots_in_turn_and_the_newest_counts() {
    let (place, mut file) = Place::with_marks(0);
    assert_eq!(file.newest(), None);
    let slot_at = |offset: usize| Mark::decode(&fs::read(&place.path).unwrap()[offset..offset + 512]);
    for generation in 1..=5_u64 {
        file.write(&mark(generation * 10)).unwrap();
        let expected = Mark { generation, ..mark(generation * 10) };
        assert_eq!(file.newest(), Some(expected));
        assert_eq!(place.newest(), expected);
        let [this, other] = if generation % 2 == 1 { [0, 4096] } else { [4096, 0] };
        assert_eq!(slot_at(this), Some(expected));
        assert_eq!(slot_at(other).map(|mark| mark.generation), generation.checked_sub(1).filter(|before| *before > 0));
    }
}

#[test]
fn writing_goes_on_after_opening_where_it_ended() {
    for writes in 1..4 {
        let (place, file) = Place::with_marks(writes);
        drop(file);
        let mut file = MarkFile::open(&place.path).unwrap();
        file.write(&mark(100)).unwrap();
        assert_eq!(place.newest(), Mark { generation: writes + 1, ..mark(100) });
        place.change(|bytes| bytes[if writes % 2 == 1 { 4096 } else { 0 }] ^= 1);
        assert_eq!(place.newest(), Mark { generation: writes, ..mark(writes) });
    }
}

#[test]
fn a_torn_slot_falls_back_to_the_other_and_is_written_next() {
    let (place, file) = Place::with_marks(4);
    drop(file);
    place.change(|bytes| bytes[4096 + 300] = 7);
    let mut file = MarkFile::open(&place.path).unwrap();
    assert_eq!(file.newest(), Some(Mark { generation: 3, ..mark(3) }));
    file.write(&mark(9)).unwrap();
    place.change(|bytes| bytes[0..512].fill(0));
    assert_eq!(place.newest(), Mark { generation: 4, ..mark(9) });
}

#[test]
fn attack_g12_a_missing_mark_and_an_unreadable_one_are_told_apart() {
    let place = Place::new();
    let missing = MarkFile::open(&place.path).unwrap_err();
    assert!(matches!(missing, MarkError::Missing { .. }));
    assert_eq!(missing.to_string(), format!("the high-water mark `{}` is missing", place.path.display()));

    let unreadable = |bytes: &[u8]| {
        fs::write(&place.path, bytes).unwrap();
        matches!(MarkFile::open(&place.path), Err(MarkError::Unreadable { .. }))
    };
    assert!(unreadable(&[]));
    assert!(unreadable(&[0; 8192]));
    assert!(unreadable(&mark(1).encode()[..511]));
    let mut magic = mark(1).encode();
    magic[7] = b'2';
    let sum = crc32c::crc32c(&magic[..508]).to_be_bytes();
    magic[508..].copy_from_slice(&sum);
    assert!(unreadable(&magic));
    assert!(!unreadable(&mark(1).encode()));
}

#[test]
fn a_new_file_holds_no_mark_until_one_is_written() {
    let (place, _file) = Place::with_marks(0);
    assert!(matches!(MarkFile::open(&place.path), Err(MarkError::Unreadable { .. })));
}

#[test]
fn an_existing_mark_is_never_overwritten_by_a_new_one() {
    let (place, _file) = Place::with_marks(2);
    assert!(matches!(MarkFile::create(&place.path), Err(MarkError::Exists { .. })));
    assert_eq!(place.newest().size, 2);
}

#[test]
fn the_last_generation_is_not_passed() {
    let (place, _) = Place::with_marks(1);
    place.change(|bytes| bytes[..512].copy_from_slice(&Mark { generation: u64::MAX, ..mark(1) }.encode()));
    let mut file = MarkFile::open(&place.path).unwrap();
    assert!(file.write(&mark(2)).is_err());
    assert_eq!(place.newest().size, 1);
}

prop_compose! {
    fn any_mark()(
        numbers in any::<[u64; 5]>(),
        chain in any::<[u8; 32]>(),
        root in any::<[u8; 32]>(),
        origin_hash in any::<[u8; 32]>(),
        signed_root in any::<[u8; 32]>(),
    ) -> Mark {
        let [generation, epoch, size, signed_size, time_us] = numbers;
        Mark { generation, epoch, size, chain, root, origin_hash, signed_size, signed_root, time_us }
    }
}

proptest! {
    #[test]
    fn decoding_gives_back_what_was_encoded(mark in any_mark()) {
        prop_assert_eq!(Mark::decode(&mark.encode()), Some(mark));
    }

    #[test]
    fn a_slot_with_any_bit_flipped_holds_no_mark(mark in any_mark(), bit in 0..512_usize * 8) {
        let mut slot = mark.encode();
        slot[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Mark::decode(&slot), None);
    }

    /// A write that only got so far leaves the mark before it or the new one, never a third and never none.
    #[test]
    fn a_torn_write_leaves_the_old_mark_or_the_new(
        marks in prop::collection::vec(any_mark(), 1..4),
        new in any_mark(),
        written in 0..=512_usize,
    ) {
        let (place, mut file) = Place::with_marks(0);
        for mark in &marks {
            file.write(mark).unwrap();
        }
        let old = file.newest().unwrap();
        let before = fs::read(&place.path).unwrap();
        file.write(&new).unwrap();
        let new = file.newest().unwrap();
        let start = before.iter().zip(&fs::read(&place.path).unwrap()).position(|(old, new)| old != new).unwrap();
        let start = if start < 4096 { 0 } else { 4096 };
        place.change(|bytes| bytes[start + written..start + 512].copy_from_slice(&before[start + written..start + 512]));
        let found = place.newest();
        prop_assert!(found == new || (found == old && written < 512), "{:?}", found);
    }
}

#[test]
fn a_peek_finds_the_newest_mark_or_says_why_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hwm");
    assert!(matches!(MarkFile::peek(&path), Err(MarkError::Missing { .. })));
    let mut file = MarkFile::create(&path).unwrap();
    assert!(matches!(MarkFile::peek(&path), Err(MarkError::Unreadable { .. })));
    for size in [3, 4] {
        let mark = Mark {
            generation: 0,
            epoch: 1,
            size,
            chain: [1; 32],
            root: [2; 32],
            origin_hash: [3; 32],
            signed_size: 0,
            signed_root: [4; 32],
            time_us: 5,
        };
        file.write(&mark).unwrap();
        assert_eq!(Some(MarkFile::peek(&path).unwrap()), file.newest());
    }
}
