//! E: the policy folder while it is edited, emptied, swapped and abused. Whatever is done to it, a whole and valid set serves, and each
//! record names the one that was live at its index.

use super::read;
use crate::gateway::{TestGateway, wait_for};
use crate::installation::{Installation, Policies};
use crate::token::Issuer;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A policy that lets `user/dev/app` read `demo/*` is in what `init --dev` attaches.
fn gateway() -> TestGateway {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    gateway
}

/// The status of a read; a machine that is busy with other tests may need more than the 250 ms that a record gets.
fn status(gateway: &TestGateway, token: &str, name: &str) -> u16 {
    wait_for(name, || Some(read(gateway, token, name).status).filter(|status| *status != 503))
}

fn refused(gateway: &TestGateway) {
    wait_for("the folder to be refused", || (gateway.get("/readyz").status == 503).then_some(()));
    assert_eq!(gateway.get("/readyz").body["reasons"], json!(["policy_refused"]));
}

fn good(gateway: &TestGateway) {
    wait_for("the folder to be good", || (gateway.get("/readyz").status == 200).then_some(()));
}

/// Every access record names the revision of the last `policy_change` before it.
fn each_names_the_live_revision(records: &[Value]) -> usize {
    let (mut live, mut changes) = (Value::Null, 0);
    for record in records {
        if record["kind"] == "policy_change" {
            live = record["parameters"]["new"].clone();
            changes += 1;
        } else if record["policy"]["revision"].is_string() {
            assert_eq!(record["policy"]["revision"], live, "index {}", record["index"]);
        }
    }
    changes
}

type Abuse = (&'static str, fn(&Path));

/// What is done to a folder that was good, and must leave the old set serving.
const ABUSES: [Abuse; 11] = [
    ("a file half written", |folder| {
        let path = folder.join("attachments.json");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("a file emptied", |folder| fs::write(folder.join("documents/dev-admin.json"), b"").unwrap()),
    ("a file cut by one byte", |folder| {
        let path = folder.join("documents/demo-read.json");
        let bytes = fs::read_to_string(&path).unwrap();
        fs::write(&path, &bytes.trim_end()[..bytes.trim_end().len() - 1]).unwrap();
    }),
    ("the folder emptied", |folder| {
        for entry in ["attachments.json", "documents", "roles", "tests"] {
            let path = folder.join(entry);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
    }),
    ("the folder gone", |folder| fs::remove_dir_all(folder).unwrap()),
    ("a file in its place", |folder| {
        fs::remove_dir_all(folder).unwrap();
        fs::write(folder, b"").unwrap();
    }),
    ("a link out of it", |folder| {
        let aside = folder.with_file_name("aside.json");
        fs::rename(folder.join("attachments.json"), &aside).unwrap();
        symlink(aside, folder.join("attachments.json")).unwrap();
    }),
    ("a FIFO", |folder| {
        assert!(Command::new("mkfifo").arg(folder.join("documents/f.json")).status().unwrap().success());
    }),
    ("a file that everybody may write", |folder| {
        fs::set_permissions(folder.join("attachments.json"), Permissions::from_mode(0o666)).unwrap();
    }),
    ("a folder that everybody may write", |folder| {
        fs::set_permissions(folder.join("documents"), Permissions::from_mode(0o777)).unwrap();
    }),
    ("a terabyte", |folder| {
        let path = folder.join("documents/large.json");
        fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    }),
];

fn restore(installation: &Installation, kept: &Path) {
    let folder = installation.path("policies");
    if folder.is_dir() {
        fs::remove_dir_all(&folder).unwrap();
    } else if folder.exists() {
        fs::remove_file(&folder).unwrap();
    }
    assert!(Command::new("cp").arg("-a").arg(kept).arg(&folder).status().unwrap().success());
}

#[test]
fn attack_e01_e03_whatever_becomes_of_the_folder_the_old_set_serves_and_it_is_said() {
    let gateway = gateway();
    let app = gateway.issuer().token("app");
    let folder = gateway.installation().path("policies");
    let kept = gateway.installation().path("kept");
    assert!(Command::new("cp").arg("-a").args([&folder, &kept]).status().unwrap().success());
    let before = gateway.revision();
    for (what, abuse) in ABUSES {
        abuse(&folder);
        refused(&gateway);
        assert_eq!(status(&gateway, &app, "demo/db"), 200, "{what}");
        assert_eq!(status(&gateway, &app, "prod/db"), 403, "{what}");
        restore(gateway.installation(), &kept);
        good(&gateway);
    }
    assert_eq!(gateway.revision(), before, "something of it went live");
    let records = gateway.records();
    let refusals: Vec<&Value> =
        records.iter().filter(|record| record["parameters"]["event"] == "policy_refused").collect();
    assert!(refusals.len() >= ABUSES.len(), "{} refusals are recorded", refusals.len());
    assert!(refusals.iter().all(|record| record["outcome"] == "failed" && record["parameters"]["policy"] == before));
    each_names_the_live_revision(&records);
    gateway.finish();
}

#[test]
fn attack_e01_at_start_a_bad_folder_serves_the_last_good_revision_and_with_none_stored_nothing_starts() {
    let gateway = gateway();
    let before = gateway.revision();
    let installation = gateway.stop();
    let fresh = Installation::new();
    for broken in [&installation, &fresh] {
        fs::remove_dir_all(broken.path("policies")).unwrap();
    }
    let Err(refused) = TestGateway::try_of(fresh) else { panic!("it served without any policy") };
    assert_eq!(refused.code, 1);
    assert!(refused.text.contains("policy folder"), "{}", refused.text);

    let log = installation.path("serve-1.log");
    let process = installation.command(&["serve"]).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut process = Ended(process);
    let address = wait_for("the gateway to listen", || {
        let text = fs::read_to_string(&log).unwrap();
        let line = text.lines().find(|line| line.contains("\"message\":\"serving\""))?;
        let line: Value = serde_json::from_str(line).ok()?;
        line["fields"]["listen"].as_str()?.parse::<std::net::SocketAddr>().ok()
    });
    let ask = |token: &str, name: &str| {
        let headers = [("Authorization", format!("Bearer {token}")), ("Content-Type", "application/json".to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let body = json!({"SecretName": name}).to_string();
        crate::wire::Connection::open(address).request("POST /v1/GetSecretValue", &headers, body.as_bytes()).unwrap()
    };
    let app = installation.dev_issuer().token("app");
    let ready = crate::wire::Connection::open(address).request("GET /readyz", &[], b"").unwrap();
    assert_eq!((ready.status, &ready.body["reasons"]), (503, &json!(["policy_refused"])));
    assert_eq!((ask(&app, "demo/db").status, ask(&app, "prod/db").status), (200, 403));
    process.0.kill().unwrap();
    drop(process);
    let explained = installation.run(&["audit", "verify", "--decisions"]);
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(before.is_string());
}

/// With other issuers the folder is refused, and what was good under the issuers before is not good under these.
#[test]
fn attack_d12_e01_no_start_serves_an_older_revision_whose_denies_a_token_sheds_by_now() {
    let corp = Issuer::new("corp");
    let policies = Policies::default()
        .attach("demo-read", &["user/corp/ann"])
        .document("stop", &json!({"effect": "deny", "action": "ssm:*", "resource": "*"}))
        .attach("stop", &["group/corp/contractors"]);
    let gateway = TestGateway::builder().issuer(&corp, "groups = \"required\"").policies(policies).start();
    gateway.create("demo/db", "s3cret");
    let contractor = corp.token_of("ann", &["contractors"], &[], 600);
    assert_eq!(read(&gateway, &contractor, "demo/db").status, 403);
    let installation = gateway.stop();
    let before = installation.read("keyward.toml");
    let lax = before.replace("groups = \"required\"", "groups = \"optional\"");
    assert_ne!(lax, before);
    let folder = installation.read("policies/attachments.json");
    for attachments in [folder.as_str(), "{"] {
        fs::write(installation.path("keyward.toml"), &lax).unwrap();
        fs::write(installation.path("policies/attachments.json"), attachments).unwrap();
        let ran = installation.run(&["serve"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        for text in ["the last good revision cannot serve", "PrincipalGroupOptional", "group/corp/contractors"] {
            assert!(ran.err.contains(text), "{text}: {}", ran.err);
        }
    }
    // Under the issuers that it was good under it serves, and the folder is as broken as before.
    fs::write(installation.path("keyward.toml"), &before).unwrap();
    let log = installation.path("serve-1.log");
    let process = installation.command(&["serve"]).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut process = Ended(process);
    wait_for("the gateway to listen", || fs::read_to_string(&log).unwrap().contains("\"serving\"").then_some(()));
    process.0.kill().unwrap();
    drop(process);
    fs::write(installation.path("policies/attachments.json"), folder).unwrap();
    let gateway = TestGateway::of(installation);
    assert_eq!(read(&gateway, &contractor, "demo/db").status, 403);
    assert_eq!(read(&gateway, &corp.token_of("ann", &[], &[], 600), "demo/db").status, 200);
    gateway.finish();
}

/// The folder fits the other issuers, and the set that is live does not: it would serve under them until the folder is live.
#[test]
fn attack_d12_e01_no_issuers_go_live_under_which_a_token_sheds_what_is_denied_now() {
    let corp = Issuer::new("corp");
    let stop = || json!({"effect": "deny", "action": "ssm:*", "resource": "*"});
    let policies = || Policies::default().attach("demo-read", &["user/corp/ann"]);
    let denying = policies().document("stop", &stop()).attach("stop", &["group/corp/contractors"]);
    let gateway = TestGateway::builder().issuer(&corp, "groups = \"required\"").policies(denying).start();
    gateway.create("demo/db", "s3cret");
    let sheds = corp.token_of("ann", &[], &[], 600);
    // A folder that names an issuer that is new: it cannot be live before the issuers are.
    let new = Issuer::new("new");
    let folder = gateway.installation().path("policies");
    policies().attach("demo-read", &["user/new/eve"]).write(&folder);
    gateway.installation().add_issuer(&new.introduction(""));
    let before = gateway.installation().read("keyward.toml");
    let lax = before.replace("groups = \"required\"", "groups = \"optional\"");
    assert_ne!(lax, before);
    fs::write(gateway.installation().path("keyward.toml"), lax).unwrap();
    gateway.signal("HUP");
    let reasons = || gateway.get("/readyz").body["reasons"].as_array().unwrap().clone();
    wait_for("the refusal", || reasons().contains(&json!("issuers_refused")).then_some(()));
    assert!(gateway.log().contains("the policies that are live cannot serve under these issuers"), "{}", gateway.log());
    let contractor = corp.token_of("ann", &["contractors"], &[], 600);
    assert_eq!(read(&gateway, &contractor, "demo/db").status, 403);
    // Without the deny first, the issuers then: both go live by one signal.
    policies().write(&folder);
    gateway.signal("HUP");
    wait_for("both to be live", || (gateway.get("/readyz").status == 200).then_some(()));
    assert_eq!(read(&gateway, &contractor, "demo/db").status, 200);
    assert_eq!(read(&gateway, &sheds, "demo/db").status, 200);
    gateway.finish();
}

/// A process that does not outlive its test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn granting(names: &[&str]) -> Policies {
    let resource: Vec<String> = names.iter().map(|name| format!("qcs::ssm:::secret/creatorUin/*/{name}")).collect();
    let statement = json!({"effect": "allow", "action": ["ssm:GetSecretValue"], "resource": resource});
    Policies::default().document("swapped", &statement).attach("swapped", &["user/dev/reader"])
}

#[test]
fn attack_e02_sets_that_are_swapped_under_load_are_live_soon_and_each_record_names_the_one_of_its_index() {
    let gateway = TestGateway::builder().policies(granting(&["demo/a"])).start();
    gateway.create("demo/a", "a");
    gateway.create("demo/b", "b");
    let installation = gateway.installation();
    let reader = gateway.issuer().token("reader");
    // The folder becomes a link, so that whole sets can be swapped by one rename.
    let (folder, one, two) = (installation.path("policies"), installation.path("set-a"), installation.path("set-b"));
    fs::rename(&folder, &one).unwrap();
    assert!(Command::new("cp").arg("-a").args([&one, &two]).status().unwrap().success());
    granting(&["demo/b"]).write(&two);
    let point_at = |set: &Path| {
        let next = installation.path("next");
        symlink(set, &next).unwrap();
        fs::rename(&next, &folder).unwrap();
    };
    point_at(&one);
    let stop = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        let load: Vec<_> = ["demo/a", "demo/b", "demo/a", "demo/b"]
            .map(|name| {
                let (gateway, reader, stop) = (&gateway, &reader, &stop);
                scope.spawn(move || {
                    let mut seen = [0_usize; 2];
                    while !stop.load(Ordering::Relaxed) {
                        let status = read(gateway, reader, name).status;
                        assert!([200, 403, 503].contains(&status), "{status}");
                        seen[usize::from(status == 200)] += 1;
                    }
                    seen
                })
            })
            .into();
        for (round, set) in [&two, &one, &two, &one].into_iter().enumerate() {
            let (granted, other) = if set == &two { ("demo/b", "demo/a") } else { ("demo/a", "demo/b") };
            let since = Instant::now();
            point_at(set);
            if round.is_multiple_of(2) {
                gateway.signal("HUP");
            }
            wait_for("the set to be live", || {
                (read(&gateway, &reader, granted).status == 200 && read(&gateway, &reader, other).status == 403)
                    .then_some(())
            });
            // Generous: the machine may be busy with other tests. By itself it is 0.8 s, on SIGHUP at once.
            assert!(since.elapsed() < Duration::from_secs(15), "round {round} took {:?}", since.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        load.into_iter()
            .map(|client| client.join().unwrap())
            .fold([0, 0], |sum, seen| [sum[0] + seen[0], sum[1] + seen[1]])
    });
    assert!(served[0] > 0 && served[1] > 0, "{served:?}");
    let changes = each_names_the_live_revision(&gateway.records());
    assert!(changes >= 5, "{changes} changes went live");
    gateway.finish();
}

#[test]
fn attack_e03_a_thousand_touches_a_second_change_nothing_and_the_last_of_many_edits_is_live() {
    let gateway = gateway();
    let app = gateway.issuer().token("app");
    let path = gateway.installation().path("policies/documents/demo-read.json");
    let bytes = fs::read(&path).unwrap();
    let revision = gateway.revision();
    let before = gateway.records().len();
    let aside = gateway.installation().path("edited.json");
    let swap_in = |bytes: &[u8]| {
        fs::write(&aside, bytes).unwrap();
        fs::rename(&aside, &path).unwrap();
    };
    let storm = |change: &dyn Fn(usize) -> Vec<u8>| {
        let since = Instant::now();
        let mut touches = 0_usize;
        while since.elapsed() < Duration::from_secs(3) {
            swap_in(&change(touches));
            touches += 1;
            if touches.is_multiple_of(200) {
                assert_eq!(status(&gateway, &app, "demo/db"), 200);
            }
            thread::park_timeout(Duration::from_micros(300));
        }
        touches
    };
    let touches = storm(&|_| bytes.clone());
    assert!(touches > 300, "{touches}");
    assert_eq!(gateway.revision(), revision);
    let text = String::from_utf8(bytes.clone()).unwrap();
    let edits = storm(&|number| format!("{}{}\n", text.trim_end(), " ".repeat(number % 50)).into_bytes());
    assert!(edits > 300, "{edits}");
    let last = text.replace("demo/*", "demo/last/*");
    swap_in(last.as_bytes());
    wait_for("the last edit to be live", || (read(&gateway, &app, "demo/db").status == 403).then_some(()));
    let records = gateway.records();
    let changes = records.iter().skip(before).filter(|record| record["kind"] == "policy_change").count();
    assert!((1..=12).contains(&changes), "{changes} revisions went live, of {edits} edits");
    each_names_the_live_revision(&records);
    gateway.finish();
}

#[test]
fn attack_e03_a_hundred_thousand_files_are_refused_and_delay_nobody() {
    let gateway = gateway();
    let app = gateway.issuer().token("app");
    let folder = gateway.installation().path("policies/documents");
    for number in 0..100_000 {
        fs::write(folder.join(format!("n{number}.json")), b"{}").unwrap();
    }
    refused(&gateway);
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let since = Instant::now();
        assert_eq!(status(&gateway, &app, "demo/db"), 200);
        slowest = slowest.max(since.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    println!("slowest of 200 reads beside a folder of 100,000 files: {slowest:?}");
    assert!(gateway.installation().run(&["policy", "check"]).out.lines().count() < 10, "each file is told");
    gateway.finish();
}

#[test]
fn a_policy_folder_of_several_mebibytes_goes_live_and_so_does_an_edit_of_it() {
    let names = |number: usize| -> Vec<String> {
        (0..60).map(|part| format!("qcs::ssm:::secret/creatorUin/*/team-{number}/{part:0>40}/*")).collect()
    };
    let mut policies = Policies::default();
    for number in 0..700 {
        let name = format!("team-{number}");
        let statement = json!({"effect": "allow", "action": "ssm:GetSecretValue", "resource": names(number)});
        policies = policies.document(&name, &statement).attach(&name, &["user/dev/app"]);
    }
    // More than records of the reserve may take together (2 MiB).
    let gateway = TestGateway::builder().policies(policies).start();
    let first = gateway.revision();
    let folder = gateway.installation().path("policies");
    let bytes: u64 =
        fs::read_dir(folder.join("documents")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes > 3 << 20, "{bytes} bytes");
    let path = folder.join("documents/team-7.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("team-7/", "team-seven/")).unwrap();
    wait_for("the edit", || (gateway.revision() != first).then_some(()));
    let installation = gateway.restart().stop();
    assert_eq!(installation.run(&["audit", "verify", "--decisions"]).code, 0);
}
