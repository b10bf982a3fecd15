//! What one caller takes from all others: decided here, where a conflict, or a turn that somebody has, can be made to be there.

use super::{Scene, scene, scene_with, token_of};
use crate::http::tencent;
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, web};
use chrono::DateTime;
use futures_util::future::{Either, join, select};
use keyward_audit::record::{Draft, Kind, Outcome, Value as RecordValue};
use keyward_audit::{Changes, Event, Generation, Lane, ReadSet};
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;

const REVOCATIONS: Generation = Generation("revocations");

/// A record of nothing.
struct Note(Draft);

impl Event for Note {
    fn draft(&self) -> &Draft {
        &self.0
    }

    fn lane(&self) -> Lane {
        Lane::Reserve
    }
}

impl Scene {
    /// Moves what everything is decided on.
    async fn revoke_nothing(&self) {
        let mut draft = Draft::new(Kind::System, "keyward:System", "internal", self.gateway.request_id().unwrap());
        draft.outcome = Some(Outcome::Ok);
        draft.principal = Some("service/gateway".to_owned());
        draft.parameters.insert("event".to_owned(), RecordValue::from("start"));
        let changes = Changes { bumps: vec![REVOCATIONS], ..Changes::default() };
        assert!(self.gateway.log().commit(Note(draft), changes, ReadSet::default()).await.is_ok());
    }

    async fn status_of(&self, token: &str, action: &str) -> u16 {
        self.serve_to(token, action, r#"{"SecretName":"demo/db"}"#.to_owned()).await.status().as_u16()
    }
}

#[test]
fn attack_f05_a_denial_is_paid_once_however_often_it_is_decided() {
    let slow = |config: &mut crate::config::Config| {
        config.limits.denials_per_second = 1;
        config.limits.denials_burst = 30;
    };
    scene_with(slow, async |scene| {
        let stranger = token_of(&scene.config, "stranger");
        for round in 0..30 {
            // It is in the queue when the denial is decided, and comes before it.
            let (_, status) = join(scene.revoke_nothing(), scene.status_of(&stranger, "GetSecretValue")).await;
            assert_eq!(status, 403, "{round}");
        }
    });
}

#[test]
fn attack_f05_an_access_key_that_stays_what_it_is_sends_nobody_back() {
    scene(async |scene| {
        let made = scene.call("CreateAccessKey", &json!({})).await.body;
        let id = made["AccessKey"]["AccessKeyId"].as_str().unwrap().to_owned();
        let mut before = scene.gateway.log().generation(REVOCATIONS);
        for (status, moves) in
            [("Active", false), ("Inactive", true), ("Inactive", false), ("Active", false), ("Active", false)]
        {
            let asked = json!({"AccessKeyId": id, "Status": status});
            assert_eq!(scene.call("UpdateAccessKey", &asked).await.status, 200, "{status}");
            let now = scene.gateway.log().generation(REVOCATIONS);
            assert_eq!(now != before, moves, "{status}");
            before = now;
        }
        assert_eq!(scene.call("DeleteAccessKey", &json!({"AccessKeyId": id})).await.status, 200);
        assert_ne!(scene.gateway.log().generation(REVOCATIONS), before);
    });
}

fn pair(name: &str) -> Value {
    json!({"SecretName": name, "ProjectId": 0})
}

#[test]
fn attack_f05_a_caller_waits_for_one_key_pair_at_a_time() {
    scene(async |scene| {
        let turn = scene.gateway.pairs().take("user/dev/other").await.ok();
        let parameters = [pair("demo/first"), pair("demo/second")];
        let first = pin!(scene.call("CreateSSHKeyPairSecret", &parameters[0]));
        let second = pin!(scene.call("CreateSSHKeyPairSecret", &parameters[1]));
        let first = match select(first, second).await {
            Either::Right((reply, first)) => {
                assert_eq!((reply.status, reply.code()), (429, "RequestLimitExceeded"));
                assert!(reply.record.is_none(), "it is counted");
                first
            }
            Either::Left(_) => panic!("the first one waits"),
        };
        drop(turn);
        assert_eq!(first.await.status, 200);
        assert_eq!(scene.call("CreateSSHKeyPairSecret", &pair("demo/second")).await.status, 200);
        scene.gateway.summarise().await;
        let last = scene.record(scene.gateway.log().as_of() - 1);
        assert_eq!(last.draft().kind, Kind::Summary);
        assert_eq!(last.draft().parameters["count"], RecordValue::Integer(1));
    });
}

#[test]
fn attack_f05_who_waits_for_a_key_pair_keeps_no_turn_of_creations() {
    // So that creations take turns.
    let near = |config: &mut crate::config::Config| config.limits.secrets = 100;
    scene_with(near, async |scene| {
        let turn = scene.gateway.pairs().take("user/dev/other").await.ok();
        let parameters =
            [pair("demo/pair"), json!({"SecretName": "demo/text", "VersionId": "v1", "SecretString": "x"})];
        let first = pin!(scene.call("CreateSSHKeyPairSecret", &parameters[0]));
        let waiting = match select(first, pin!(scene.call("CreateSecret", &parameters[1]))).await {
            Either::Right((reply, waiting)) => {
                assert_eq!(reply.status, 200, "{}", reply.body);
                waiting
            }
            Either::Left(_) => panic!("the pair waits"),
        };
        drop(turn);
        assert_eq!(waiting.await.status, 200);
    });
}

#[test]
fn attack_l01_what_nobody_signed_waits_for_no_turn_and_is_a_record() {
    scene(async |scene| {
        let _turn = scene.gateway.pairs().take("user/dev/other").await.ok();
        let settings = scene.config.tencent.clone();
        let app = App::new().app_data(web::Data::from(Arc::clone(&scene.gateway))).service(tencent::route(settings));
        let app = init_service(app).await;
        let now_s = i64::try_from(crate::clock::system().clock.wall_us() / 1_000_000).unwrap();
        let date = DateTime::from_timestamp(now_s, 0).unwrap().format("%Y-%m-%d");
        let signature = "0".repeat(64);
        let authorization = format!(
            "TC3-HMAC-SHA256 Credential=AKIDnobody/{date}/ssm/tc3_request, SignedHeaders=content-type;host, Signature={signature}"
        );
        let request = TestRequest::post()
            .uri("/")
            .insert_header(("Host", "localhost"))
            .insert_header(("Content-Type", "application/json"))
            .insert_header(("Authorization", authorization))
            .insert_header(("X-TC-Action", "CreateSSHKeyPairSecret"))
            .insert_header(("X-TC-Version", "2019-09-23"))
            .insert_header(("X-TC-Timestamp", now_s))
            .set_payload(pair("demo/first").to_string());
        let before = scene.gateway.log().as_of();
        let reply: Value = read_body_json(call_service(&app, request.to_request()).await).await;
        assert_eq!(reply["Response"]["Error"]["Code"], "AuthFailure.SecretIdNotFound", "{reply}");
        assert_eq!(scene.gateway.log().as_of(), before + 1);
        assert_eq!(scene.record(before).draft().kind, Kind::Unauthenticated);
    });
}
