use ct_merkle::HashableLeaf;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::hash::{self, Digest};
use crate::samples;
use crate::store::StoreError;

mod definition;

use definition::{Definition, Stored};

const SIZE_MAX: u64 = 1_025;

#[test]
fn roots_are_those_of_the_definition_at_every_size() {
    let definition = Definition::counting(SIZE_MAX);
    let mut frontier = Frontier::new();
    let mut stored = Stored::default();
    for size in 0..=SIZE_MAX {
        assert_eq!(frontier.size(), size);
        assert_eq!(frontier.root(), definition.mth(0, size), "size {size}");
        assert_eq!(stored.tree.root(), frontier.root(), "size {size}");
        if let Some(leaf) = definition.leaves.get(size as usize) {
            frontier.push(*leaf);
            stored.tree.push(*leaf, &mut stored.full);
        }
    }
}

#[test]
fn the_sample_log_has_its_root_at_every_size() {
    let vectors = [
        (1, "7836df12bcae6327b242d418129bf2131fd99d77792e3b25efd6a6490bc64b29"),
        (2, "514daf2bddf4a5d6af51b429765bb826c82bf9e6faedd477c81c221e8ec2ef08"),
        (3, "0a700d6b4846cb98b945032c88b5467c9818b0323fd3bd8fff2245e22ad369bf"),
        (5, "2175d665c4b262915749868770414110612785961a09b71a4d477702a5bde212"),
        (8, "39442427be3a86b50d2bdc8eb8488f80578d7eaf4728b759537950bfe2e28ffe"),
        (12, "742afe2ff8ddd07edbb019c552c7574104537973b68fd19c6272164fc497736f"),
        (13, "2acad8a2cb718fddad8001d43802580759cb65c7054a75c9f1f7878d543df639"),
        (14, "0ef4142957fdc9d2b27ffe22a0e53b8c37346e5ed735e146c51f85a5d144ded5"),
        (15, "5a08de1277174f3baebea41329b06fdf41f794b5958bafe9009778589a7ecbe2"),
    ];
    let roots = roots_of(samples::LOG.iter().map(|sample| sample.bytes));
    for (size, expected) in vectors {
        assert_eq!(roots[size], expected, "size {size}");
    }
}

#[test]
fn the_ct_entries_have_their_roots_and_proofs() {
    let entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
        .map(|entry| hex::decode(entry).unwrap());
    let roots = roots_of(entries.iter().map(Vec::as_slice));
    let vectors = [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ];
    for (size, expected) in vectors {
        assert_eq!(roots[size], expected, "size {size}");
    }
    let leaves: Vec<Digest> = entries.iter().map(|entry| hash::leaf(entry)).collect();
    let beginnings = |proof: Vec<Digest>| proof.iter().map(|hash| hex::encode(&hash[..4])).collect::<Vec<_>>();
    let inclusion = inclusion_proof(5, 7, &Stored::of(&leaves[..7])).unwrap();
    assert_eq!(beginnings(inclusion), ["bc1a0643", "b08693ec", "d37ee418"]);
    let consistency = consistency_proof(3, 8, &Stored::of(&leaves)).unwrap();
    assert_eq!(beginnings(consistency), ["0298d122", "07506a85", "fac54203", "6b47aaf2"]);
}

/// The root after each of `records`, in hex, that of the empty tree first.
fn roots_of<'a>(records: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut frontier = Frontier::new();
    let mut roots = vec![hex::encode(frontier.root())];
    for record in records {
        frontier.push(hash::leaf(record));
        roots.push(hex::encode(frontier.root()));
    }
    roots
}

/// Sizes at which proofs are made, not only checked: making one folds up to 255 hashes.
fn sizes_to_prove() -> impl Iterator<Item = u64> {
    (1..=130).chain([255, 256, 257, 511, 512, 513, 767, 1_023, 1_024, 1_025])
}

#[test]
fn inclusion_proofs_of_the_definition_hold_for_every_index_and_size() {
    let definition = Definition::counting(SIZE_MAX);
    for size in 1..=SIZE_MAX {
        let root = definition.mth(0, size);
        for (leaf, index) in definition.leaves.iter().zip(0..size) {
            let proof = definition.path(index, 0, size);
            assert_eq!(verify_inclusion(leaf, index, size, &proof, &root), Ok(()), "index {index} of {size}");
        }
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_definition() {
    let definition = Definition::counting(SIZE_MAX);
    let stored = Stored::of(&definition.leaves);
    for size in sizes_to_prove() {
        for index in 0..size {
            let proof = inclusion_proof(index, size, &stored).unwrap();
            assert_eq!(proof, definition.path(index, 0, size), "index {index} of {size}");
        }
    }
}

#[test]
fn consistency_proofs_of_the_definition_hold_for_every_pair_of_sizes() {
    let definition = Definition::counting(SIZE_MAX);
    for new in 1..=SIZE_MAX {
        let new_root = definition.mth(0, new);
        for old in 1..=new {
            let (proof, old_root) = (definition.subproof(old, 0, new, true), definition.mth(0, old));
            assert_eq!(verify_consistency(old, new, &proof, &old_root, &new_root), Ok(()), "{old} to {new}");
        }
    }
}

#[test]
fn consistency_proofs_are_those_of_the_definition() {
    let definition = Definition::counting(SIZE_MAX);
    let stored = Stored::of(&definition.leaves);
    for new in sizes_to_prove() {
        for old in 1..=new {
            let proof = consistency_proof(old, new, &stored).unwrap();
            assert_eq!(proof, definition.subproof(old, 0, new, true), "{old} to {new}");
        }
    }
}

#[test]
fn an_altered_inclusion_proof_is_refused() {
    let definition = Definition::counting(70);
    let stored = Stored::of(&definition.leaves);
    for size in 1..=70 {
        let root = definition.mth(0, size);
        for index in 0..size {
            let leaf = &definition.leaves[index as usize];
            let proof = inclusion_proof(index, size, &stored).unwrap();
            let holds = |proof: &[Digest]| verify_inclusion(leaf, index, size, proof, &root);
            for altered in altered_hashes(&proof) {
                assert_eq!(holds(&altered), Err(VerifyError::Root), "index {index} of {size}");
            }
            for other in other_lengths(&proof) {
                let expected = VerifyError::Length { found: other.len(), expected: proof.len() };
                assert_eq!(holds(&other), Err(expected), "index {index} of {size}");
            }
            assert_eq!(verify_inclusion(&root_of_nothing(), index, size, &proof, &root), Err(VerifyError::Root));
        }
        let last = inclusion_proof(size - 1, size, &stored).unwrap();
        let leaf = &definition.leaves[size as usize - 1];
        assert_eq!(verify_inclusion(leaf, size, size, &last, &root), Err(VerifyError::Index));
    }
}

#[test]
fn an_altered_consistency_proof_is_refused() {
    let definition = Definition::counting(70);
    let stored = Stored::of(&definition.leaves);
    for new in 1..=70 {
        let new_root = definition.mth(0, new);
        for old in 1..=new {
            let old_root = definition.mth(0, old);
            let proof = consistency_proof(old, new, &stored).unwrap();
            let holds = |proof: &[Digest]| verify_consistency(old, new, proof, &old_root, &new_root);
            for altered in altered_hashes(&proof) {
                assert_eq!(holds(&altered), Err(VerifyError::Root), "{old} to {new}");
            }
            for other in other_lengths(&proof) {
                assert!(matches!(holds(&other), Err(VerifyError::Length { .. })), "{old} to {new}");
            }
            let wrong = root_of_nothing();
            assert_eq!(verify_consistency(old, new, &proof, &wrong, &new_root), Err(VerifyError::Root));
            assert_eq!(verify_consistency(old, new, &proof, &old_root, &wrong), Err(VerifyError::Root));
        }
    }
}

fn root_of_nothing() -> Digest {
    hash::sha256(b"")
}

/// The proof with one bit of each hash flipped, one hash at a time.
fn altered_hashes(proof: &[Digest]) -> Vec<Vec<Digest>> {
    (0..proof.len())
        .map(|place| {
            let mut altered = proof.to_vec();
            altered[place][31] ^= 1;
            altered
        })
        .collect()
}

/// The proof one hash shorter at either end, one longer, and far too long.
fn other_lengths(proof: &[Digest]) -> Vec<Vec<Digest>> {
    let mut others = vec![[proof, &[[0; 32]]].concat(), [&[[0; 32]], proof].concat(), vec![[0; 32]; 100_000]];
    if let Some((_, shorter)) = proof.split_first() {
        others.push(shorter.to_vec());
        others.push(proof[..proof.len() - 1].to_vec());
    }
    others
}

#[test]
fn consistency_from_nothing_and_with_itself_needs_an_empty_proof() {
    let root = hash::leaf(b"one");
    let empty = root_of_nothing();
    assert_eq!(verify_consistency(0, 0, &[], &empty, &empty), Ok(()));
    assert_eq!(verify_consistency(0, 1, &[], &empty, &root), Ok(()));
    assert_eq!(verify_consistency(0, 1, &[], &root, &root), Err(VerifyError::Root));
    assert_eq!(verify_consistency(1, 1, &[], &root, &empty), Err(VerifyError::Root));
    let surplus = VerifyError::Length { found: 1, expected: 0 };
    assert_eq!(verify_consistency(0, 1, &[root], &empty, &root), Err(surplus));
    assert_eq!(verify_consistency(1, 1, &[root], &root, &root), Err(surplus));
    assert_eq!(verify_consistency(2, 1, &[], &root, &root), Err(VerifyError::Sizes));
    let missing = VerifyError::Length { found: 0, expected: 3 };
    assert_eq!(verify_consistency(3, 4, &[], &root, &root), Err(missing));
}

#[test]
fn what_cannot_be_proved_is_refused() {
    let stored = Stored::of(&[hash::leaf(b"one")]);
    assert!(matches!(inclusion_proof(1, 1, &stored), Err(ProofError::Index { index: 1, size: 1 })));
    assert!(matches!(inclusion_proof(0, 0, &stored), Err(ProofError::Index { index: 0, size: 0 })));
    assert!(matches!(consistency_proof(2, 1, &stored), Err(ProofError::Sizes { old: 2, new: 1 })));
    assert!(consistency_proof(0, 1, &stored).unwrap().is_empty());
    assert!(consistency_proof(1, 1, &stored).unwrap().is_empty());
    let beyond = inclusion_proof(0, 5, &stored).unwrap_err();
    assert!(matches!(beyond, ProofError::Source(StoreError::Damaged(_))), "{beyond}");
}

#[test]
fn verification_is_total_at_the_largest_sizes() {
    let hash = hash::leaf(b"one");
    for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
        for index in [0, 1, size / 2, size - 1] {
            for length in [0, 1, 62, 63, 64, 65] {
                let proof = vec![hash; length];
                assert!(verify_inclusion(&hash, index, size, &proof, &hash).is_err());
                assert!(verify_consistency(index, size, &proof, &hash, &hash).is_err());
            }
        }
    }
}

#[test]
fn roots_and_proofs_are_those_of_another_implementation() {
    let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut stored = Stored::default();
    for index in 0..300_u64 {
        let record = index.to_be_bytes().to_vec();
        stored.tree.push(hash::leaf(&record), &mut stored.full);
        other.push(record);
        let size = index + 1;
        assert_eq!(stored.tree.root(), other.root().as_bytes().as_slice(), "size {size}");
        for at in [0, index / 3, index] {
            let ours = inclusion_proof(at, size, &stored).unwrap();
            assert_eq!(ours.as_flattened(), other.prove_inclusion(at as usize).as_bytes(), "index {at} of {size}");
        }
        for old in [1, size / 3 + 1, size] {
            let ours = consistency_proof(old, size, &stored).unwrap();
            let theirs = other.prove_consistency((size - old) as usize);
            if old < size {
                assert_eq!(ours.as_flattened(), theirs.as_bytes(), "{old} to {size}");
            }
        }
    }
    // Without this the other implementation might hash leaves in its own way.
    assert_eq!(leaf_of_other(b"x"), hash::leaf(b"x"));
}

fn leaf_of_other(record: &[u8]) -> Digest {
    use sha2::Digest as _;
    let mut hasher = Sha256::new_with_prefix([0]);
    HashableLeaf::hash(&record, &mut hasher);
    hasher.finalize().into()
}

#[test]
fn tiles_hold_the_roots_of_their_ranges() {
    let size = 70_000;
    let definition = Definition::counting(size);
    let stored = Stored::of(&definition.leaves);
    let full_at = |level| stored.full.iter().filter(|tile| tile.level == level).count();
    assert_eq!((full_at(0), full_at(1), full_at(2)), (273, 1, 0));
    assert_eq!((tile_width(size, 0), tile_width(size, 1), tile_width(size, 2), tile_width(size, 3)), (112, 17, 1, 0));
    for level in 0..8 {
        assert_eq!(stored.tree.partial(level).len(), tile_width(size, level), "level {level}");
        let full = size >> (8 * u32::from(level)) >> 8;
        assert_holds_roots(&definition, level, full, stored.tree.partial(level));
    }
    for tile in &stored.full {
        assert_eq!(tile.bytes.len(), TILE_BYTES);
        assert_holds_roots(&definition, tile.level, tile.n, decode_tile(&tile.bytes).unwrap());
    }
    assert!(stored.tree.partial(8).is_empty());
    assert_eq!(tile_width(u64::MAX, 8), 0);
}

fn assert_holds_roots(definition: &Definition, level: u8, n: u64, hashes: &[Digest]) {
    let span = 256_u64.pow(u32::from(level));
    for (place, hash) in hashes.iter().enumerate() {
        let from = (n * 256 + place as u64) * span;
        assert_eq!(*hash, definition.mth(from, from + span), "hash {place} of tile {n} at level {level}");
    }
}

#[test]
fn full_tiles_come_lowest_level_first_and_once() {
    let leaves = vec![[7; 32]; 65_536];
    let mut stored = Stored::of(&leaves[..65_535]);
    assert_eq!(stored.full.len(), 255);
    stored.full.clear();
    stored.tree.push([7; 32], &mut stored.full);
    let filled: Vec<(u8, u64)> = stored.full.iter().map(|tile| (tile.level, tile.n)).collect();
    assert_eq!(filled, [(0, 255), (1, 0)]);
}

#[test]
fn proofs_across_tile_edges_hold() {
    let definition = Definition::counting(70_000);
    let stored = Stored::of(&definition.leaves);
    for size in [256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000] {
        let root = definition.mth(0, size);
        for index in [0, 255, 256, size / 2, size - 1].into_iter().filter(|index| *index < size) {
            let proof = inclusion_proof(index, size, &stored).unwrap();
            let leaf = &definition.leaves[index as usize];
            assert_eq!(verify_inclusion(leaf, index, size, &proof, &root), Ok(()), "index {index} of {size}");
        }
        for old in [1, 255, 256, size / 2, size] {
            let proof = consistency_proof(old, size, &stored).unwrap();
            assert_eq!(verify_consistency(old, size, &proof, &definition.mth(0, old), &root), Ok(()));
        }
    }
}

#[test]
fn states_come_back_from_their_bytes_at_every_size() {
    let definition = Definition::counting(SIZE_MAX);
    let mut stored = Stored::default();
    for leaf in &definition.leaves {
        let bytes = stored.tree.encode();
        assert_eq!(Tree::decode(&bytes).unwrap(), stored.tree, "size {}", stored.tree.size());
        let frontier = stored.tree.frontier();
        assert_eq!(Frontier::decode(&frontier.encode()).unwrap(), *frontier);
        stored.tree.push(*leaf, &mut stored.full);
    }
}

#[test]
fn states_of_another_length_are_refused() {
    let tree = Stored::of(&Definition::counting(300).leaves).tree;
    let (whole, frontier) = (tree.encode(), tree.frontier().encode());
    assert!((0..whole.len()).all(|length| Tree::decode(&whole[..length]).is_err()));
    assert!((0..frontier.len()).all(|length| Frontier::decode(&frontier[..length]).is_err()));
    let mut longer = tree.encode();
    longer.push(0);
    assert_eq!(Tree::decode(&longer), Err(StateError::Length { size: 300, found: 1_449, expected: 1_448 }));
    assert_eq!(Frontier::decode(&[0; 7]), Err(StateError::NoSize(7)));
    let endless = [u64::MAX.to_be_bytes().as_slice(), &[0; 32]].concat();
    assert!(Tree::decode(&endless).is_err() && Frontier::decode(&endless).is_err());
}

#[test]
fn tiles_of_another_length_are_refused() {
    assert!(decode_tile(&[0; TILE_BYTES]).is_some());
    for length in [0, 31, 32, TILE_BYTES - 32, TILE_BYTES - 1, TILE_BYTES + 1, TILE_BYTES + 32] {
        assert!(decode_tile(&vec![0; length]).is_none(), "{length} bytes");
    }
}

proptest! {
    #[test]
    fn a_tree_goes_on_from_its_bytes_as_if_it_had_never_stopped(size in 0_usize..1_000, more in 0_usize..600) {
        let leaves = Definition::counting((size + more) as u64).leaves;
        let mut resumed = Tree::decode(&Stored::of(&leaves[..size]).tree.encode()).unwrap();
        let mut full = Vec::new();
        for leaf in &leaves[size..] {
            resumed.push(*leaf, &mut full);
        }
        let whole = Stored::of(&leaves);
        prop_assert_eq!(&resumed, &whole.tree);
        prop_assert_eq!(resumed.root(), whole.tree.root());
        prop_assert_eq!(&full[..], &whole.full[whole.full.len() - full.len()..]);
    }

    #[test]
    fn decoding_a_state_is_total(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(tree) = Tree::decode(&bytes) {
            prop_assert_eq!(tree.encode(), &bytes[..]);
        }
        if let Ok(frontier) = Frontier::decode(&bytes) {
            prop_assert_eq!(frontier.encode(), &bytes[..]);
        }
    }
}
