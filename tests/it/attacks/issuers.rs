//! Issuers that change while the gateway serves: live on SIGHUP, all or nothing, true at its index (I12, I13).

use super::read;
use crate::gateway::{TestGateway, wait_for};
use crate::installation::Policies;
use crate::token::Issuer;
use serde_json::{Value, json};

fn write(gateway: &TestGateway, text: &str) {
    let beside = gateway.installation().path(".keyward.new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, gateway.installation().path("keyward.toml")).unwrap();
}

fn reasons(gateway: &TestGateway) -> Value {
    gateway.get("/readyz").body["reasons"].clone()
}

fn events<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["parameters"]["event"] == json!(event)).collect()
}

#[test]
fn i12_issuers_of_the_file_are_live_on_a_signal_and_a_file_that_is_not_understood_changes_nothing() {
    let gateway = TestGateway::builder().record_every_refusal().start();
    gateway.create("demo/db", "s3cret");
    let before = gateway.installation().read("keyward.toml");
    let corp = Issuer::new("corp");
    let introduction = corp.introduction("");
    let with_corp = format!("{before}\n[[issuer]]\n{}", introduction.table);
    let token = corp.token("ann");
    assert_eq!(read(&gateway, &token, "demo/db").status, 401);

    // Its key file is not there yet: nothing changes, and it is said.
    write(&gateway, &with_corp);
    gateway.signal("HUP");
    wait_for("the refusal", || (reasons(&gateway) == json!(["issuers_refused"])).then_some(()));
    assert_eq!(
        (read(&gateway, &token, "demo/db").status, read(&gateway, gateway.admin(), "demo/db").status),
        (401, 200)
    );
    write(&gateway, "[server");
    gateway.signal("HUP");
    wait_for("the next refusal", || (events(&gateway.records(), "issuers_refused").len() == 2).then_some(()));
    let metrics = String::from_utf8(gateway.get("/metrics").bytes).unwrap();
    assert!(metrics.contains("keyward_issuers_refused 1"), "{metrics}");

    // With its key it is live, together with the policies that name it.
    std::fs::write(gateway.installation().path(&introduction.key_file), &introduction.pem).unwrap();
    write(&gateway, &with_corp);
    gateway.signal("HUP");
    wait_for("the new issuer", || (read(&gateway, &token, "demo/db").status == 403).then_some(()));
    assert_eq!(gateway.get("/readyz").status, 200);
    gateway.set_policies(&Policies::default().attach("demo-read", &["user/corp/ann"]));
    assert_eq!(read(&gateway, &token, "demo/db").status, 200);

    // While a policy names it, it cannot go; then it goes, and its tokens with it, seen before or not.
    write(&gateway, &before);
    gateway.signal("HUP");
    wait_for("the refusal", || (reasons(&gateway) == json!(["issuers_refused"])).then_some(()));
    assert_eq!(read(&gateway, &token, "demo/db").status, 200);
    gateway.set_policies(&Policies::default());
    gateway.signal("HUP");
    wait_for("the end of the issuer", || (read(&gateway, &token, "demo/db").status == 401).then_some(()));
    assert_eq!(read(&gateway, gateway.admin(), "demo/db").status, 200);

    let records = gateway.records();
    let changed = events(&records, "issuers_changed");
    let said: Vec<_> = changed
        .iter()
        .map(|record| (&record["parameters"]["issuers"], &record["parameters"]["issuers_before"]))
        .collect();
    assert_eq!(said, [(&json!(["dev", "corp"]), &json!(["dev"])), (&json!(["dev"]), &json!(["dev", "corp"]))]);
    for record in &changed {
        assert_eq!((&record["principal"], &record["outcome"]), (&json!("service/issuers"), &json!("ok")));
        assert!(record["parameters"]["config"].as_str().unwrap().starts_with("sha256:"));
        let later = &records[usize::try_from(record["index"].as_u64().unwrap()).unwrap()..];
        let change = later.iter().find(|record| record["kind"] == json!("policy_change")).unwrap();
        assert_eq!(change["parameters"]["trigger"], json!("issuers"));
    }
    gateway.finish();
}

#[test]
fn i13_after_an_issuer_is_gone_no_record_allows_its_tokens() {
    let gateway = TestGateway::builder().start();
    gateway.create("demo/db", "s3cret");
    let before = gateway.installation().read("keyward.toml");
    let corp = Issuer::new("corp");
    let introduction = corp.introduction("");
    std::fs::write(gateway.installation().path(&introduction.key_file), &introduction.pem).unwrap();
    let with_corp = format!("{before}\n[[issuer]]\n{}", introduction.table);
    gateway.set_policies(&Policies::default().attach("demo-read", &["everyone"]));
    let token = corp.token("ann");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Acquire) {
                    let status = read(&gateway, &token, "demo/db").status;
                    // 503: among others, who is known by now and was not when its body would have been read.
                    assert!([200, 401, 503].contains(&status), "{status}");
                }
            });
        }
        for _ in 0..6 {
            for (text, expected) in [(&with_corp, 200), (&before, 401)] {
                write(&gateway, text);
                gateway.signal("HUP");
                wait_for("the change", || (read(&gateway, &token, "demo/db").status == expected).then_some(()));
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Release);
    });
    let records = gateway.records();
    let (mut is_live, mut allowed) = (false, 0);
    for record in &records {
        if record["parameters"]["event"] == json!("issuers_changed") {
            is_live = record["parameters"]["issuers"] == json!(["dev", "corp"]);
        }
        if record["principal"] == json!("user/corp/ann") {
            assert!(is_live, "index {} was decided by an issuer that is not there", record["index"]);
            allowed += 1;
        }
    }
    assert!(allowed > 6);
    assert_eq!(events(&records, "issuers_changed").len(), 12);
    gateway.finish();
}
