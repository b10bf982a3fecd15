//! What the program is shipped in: the unit, the package's scripts, the container file. Read as text; `make deb` installs the package.

use super::{read, root};
use std::collections::BTreeSet;

/// Lines that say something, continued ones joined.
fn lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn the_unit_takes_every_right_away_that_the_gateway_does_not_need() {
    let lines = lines(&read("packaging/keyward.service"));
    let has = |line: &str| lines.iter().any(|found| found == line);
    for line in [
        "User=keyward",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "RestrictNamespaces=yes",
        "StateDirectoryMode=0700",
        "UMask=0077",
        "LimitCORE=0",
        "MemorySwapMax=0",
        "Environment=MALLOC_MMAP_THRESHOLD_=131072",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "LoadCredential=keyward.root-key",
        "LoadCredential=keyward.passphrase",
    ] {
        assert!(has(line), "`{line}` is not in the unit");
    }
    let keys: BTreeSet<&str> = lines.iter().filter_map(|line| line.split_once('=')).map(|(key, _)| key).collect();
    assert!(!keys.contains("ReadWritePaths"), "the state directory is enough");
    let files = lines.iter().find_map(|line| line.strip_prefix("LimitNOFILE=")).unwrap();
    let connections: u64 = setting("connections").parse().unwrap();
    assert!(files.parse::<u64>().unwrap() > connections, "fewer files than connections");
}

/// A number of the template of keyward.toml.
fn setting(name: &str) -> String {
    let template = read("src/config/template.toml");
    let line = template.lines().find_map(|line| line.strip_prefix(&format!("{name} = "))).unwrap();
    line.to_owned()
}

#[test]
fn the_container_file_pins_its_bases_and_runs_as_a_user_of_its_own() {
    let lines = lines(&read("packaging/Containerfile"));
    let of = |word: &str| -> Vec<&str> {
        let found = lines.iter().filter_map(|line| line.strip_prefix(word));
        found.map(str::trim).collect()
    };
    let known = [
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "ENV",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    ];
    for line in &lines {
        let word = line.split(' ').next().unwrap();
        assert!(known.contains(&word), "`{line}`");
    }
    for base in of("FROM ") {
        let image = base.split(' ').next().unwrap();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(image.starts_with("docker.io/library/") && tag.is_some_and(|tag| tag != "latest"), "`{base}`");
    }
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    assert!(of("FROM ")[0].contains(&format!("rust:{}", channel.trim_end_matches(".0"))), "the toolchain is {channel}");
    let user = of("USER ");
    assert!(
        user.iter().all(|user| user.split(':').next().unwrap().parse::<u32>().is_ok_and(|uid| uid > 0)),
        "{user:?}"
    );
    let after_user = lines.iter().skip_while(|line| !line.starts_with("USER "));
    assert!(
        !after_user.clone().any(|line| line.starts_with("RUN ")),
        "something runs as another user than it is built by"
    );
    assert_eq!(of("VOLUME "), ["/var/lib/keyward"]);
    assert!(of("HEALTHCHECK ")[0].ends_with(r#"CMD ["/usr/bin/keyward", "doctor", "--ready"]"#));
    for environment in of("ENV ") {
        let name = environment.split('=').next().unwrap();
        assert!(!["TOKEN", "KEY=", "SECRET", "PASS"].iter().any(|word| name.contains(word)), "`{environment}`");
    }
    for run in of("RUN ").into_iter().filter(|run| run.contains("apt-get install")) {
        assert!(run.contains("--no-install-recommends") && run.contains("rm -rf /var/lib/apt/lists/*"), "`{run}`");
    }
}

#[test]
fn no_script_of_the_package_deletes_data() {
    for script in ["postinst", "prerm", "postrm"] {
        let text = read(&format!("packaging/deb/{script}"));
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{script}");
        for line in lines(&text) {
            assert!(!line.contains("rm -r") && !line.contains("rm -f"), "{script}: `{line}`");
        }
        let checked =
            std::process::Command::new("sh").arg("-n").arg(root().join("packaging/deb").join(script)).status();
        assert!(checked.unwrap().success(), "{script}");
    }
    assert!(read("packaging/deb/postrm").contains("/var/lib/keyward is kept"));
}
