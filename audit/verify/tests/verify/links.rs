//! INVARIANT I7: what the verifier's program is built from.

use std::process::Command;

#[test]
fn i07_the_verifier_links_neither_the_writer_nor_its_engines() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "-p", "keyward-audit-verify", "-e", "normal", "--prefix", "none", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("text");
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"ed25519-dalek"), "{tree}");
    for forbidden in ["rocksdb", "librocksdb-sys", "casbin", "actix-web", "keyward-audit", "keyward", "aws-lc-rs"] {
        assert!(!names.contains(&forbidden), "{forbidden} in\n{tree}");
    }
}
