//! What a decision costs: with 10, 1,000 and 100,000 statements in the set, with another set in the shadow, and against plain casbin
//! over as many rows.
//!
//! The caller has ten statements, three of which name the action. The others are attached once to other callers, once
//! to this caller under other actions: neither may matter. Trust the ratios, not the figures.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measures and stops at what fails"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use casbin::{CoreApi, DefaultModel, Enforcer, MgmtApi, NullAdapter};
use keyward::access::shadow::Candidate;
use keyward::actions::{ConditionKey, by_name};
use keyward::authz::{
    Caller, Context, CredentialForm, IssuerRule, PolicyFile, PolicySet, Question, Settings, Target, Verdict,
};
use keyward::principal::Principal;
use keyward::resource::{CreatorNumber, Place, SecretName};

const SIZES: [usize; 3] = [10, 1_000, 100_000];
const STATEMENTS_PER_DOCUMENT: usize = 20;
const ROUND: Duration = Duration::from_millis(300);
const ROUNDS: usize = 5;

/// Whom the statements that do not concern the decision are attached to.
#[derive(Clone, Copy)]
enum Others {
    Callers,
    Actions,
}

fn main() {
    println!("one decision, median of {ROUNDS} rounds");
    let others = measure("statements of other callers", |size| decisions(size, Others::Callers));
    let own = measure("statements of this caller on other actions", |size| decisions(size, Others::Actions));
    let shadowed = measure("statements of other callers, a set in the shadow that differs", shadowed);
    let plain = measure("plain casbin over as many rows", plain_casbin);
    for ((size, plain), (others, own)) in SIZES.iter().zip(&plain).zip(others.iter().zip(&own)) {
        println!("plain casbin / keyward at {size:>7}: {:.1} and {:.1}", ratio(*plain, *others), ratio(*plain, *own));
    }
    for ((size, alone), with) in SIZES.iter().zip(&others).zip(&shadowed) {
        println!("with a set in the shadow / alone at {size:>7}: {:.2} (goal: at most 2.2)", ratio(*with, *alone));
    }
    for (what, times) in [("other callers", &others), ("other actions", &own)] {
        let (first, last) = (times.first().unwrap(), times.last().unwrap());
        println!("100,000 / 10 statements ({what}): {:.2} (goal: at most 1.5)", ratio(*last, *first));
    }
}

fn measure(what: &str, time: impl Fn(usize) -> Duration) -> Vec<Duration> {
    println!("{what}");
    SIZES
        .iter()
        .map(|size| {
            let time = time(*size);
            println!("  {size:>7}: {:>10.2} us", time.as_secs_f64() * 1e6);
            time
        })
        .collect()
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// The median over the rounds of the time that one run takes.
fn timed(mut run: impl FnMut() -> bool) -> Duration {
    assert!(run());
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let (start, mut runs) = (Instant::now(), 0_u32);
            while start.elapsed() < ROUND {
                assert!(black_box(run()));
                runs += 1;
            }
            start.elapsed() / runs
        })
        .collect();
    times.sort();
    times.into_iter().nth(ROUNDS / 2).unwrap()
}

fn decisions(size: usize, others: Others) -> Duration {
    let set = PolicySet::load(&files(size, others), &settings()).unwrap();
    asked(|question| timed(|| set.decide(question).outcome == Verdict::Allow))
}

/// The live set allows and the one in the shadow does not: the dearest case, since it is written down.
fn shadowed(size: usize) -> Duration {
    let mut files = files(size, Others::Callers);
    let set = PolicySet::load(&files, &settings()).unwrap();
    let own = files.iter_mut().find(|file| file.path == "documents/own.json").unwrap();
    own.bytes = own_document().replace("prod/pay/*", "prod/ship/*").into_bytes();
    let candidate = Candidate::new(PolicySet::load(&files, &settings()).unwrap());
    asked(|question| {
        timed(|| {
            let decision = set.decide(question);
            candidate.differs(question, &decision).is_some() && decision.outcome == Verdict::Allow
        })
    })
}

/// Puts the question of all runs.
fn asked(ask: impl FnOnce(&Question<'_>) -> Duration) -> Duration {
    let principal = Principal::parse("user/dev/app").unwrap();
    let groups: Vec<Principal> = (0..5).map(|n| Principal::parse(&format!("group/dev/team-{n}")).unwrap()).collect();
    let name = SecretName::parse("prod/pay/db-password").unwrap();
    let context = context();
    let question = Question {
        caller: Caller {
            principal: &principal,
            groups: &groups,
            roles: &[],
            restricted: &[],
            creator: CreatorNumber::new(7).unwrap(),
            form: CredentialForm::Token,
        },
        action: by_name("GetSecretValue").unwrap(),
        target: Target::Secret { creator: CreatorNumber::new(9), name: &name },
        context: &context,
        session_policy: None,
    };
    ask(&question)
}

fn settings() -> Settings {
    Settings {
        place: Place { region: "local".to_owned(), account: "100000000001".to_owned() },
        issuers: vec![IssuerRule { name: "dev".to_owned(), groups_required: false }],
        foreign_services: Vec::new(),
        document_characters_max: 6_144,
        catalogue: keyward::actions::CATALOGUE,
    }
}

fn context() -> Context {
    let values = [
        (ConditionKey::Door, "native"),
        (ConditionKey::SecureTransport, "true"),
        (ConditionKey::CreateUin, "9"),
        (ConditionKey::CurrentTime, "2026-01-01T00:00:00Z"),
        (ConditionKey::Ip, "10.3.7.20"),
        (ConditionKey::OwnerUin, "100000000001"),
        (ConditionKey::ResourceTag, "env&prod"),
        (ConditionKey::Uin, "7"),
    ];
    let values: BTreeMap<_, _> = values.into_iter().map(|(key, value)| (key, vec![value.to_owned()])).collect();
    Context { values }
}

/// One document of ten statements for the caller, and the rest in documents of twenty.
fn files(size: usize, others: Others) -> Vec<PolicyFile> {
    let mut files = vec![PolicyFile { path: "documents/own.json".to_owned(), bytes: own_document().into_bytes() }];
    let mut attachments = vec![r#"{"policy":"own","to":["user/dev/app"]}"#.to_owned()];
    for number in 0..size.saturating_sub(10).div_ceil(STATEMENTS_PER_DOCUMENT) {
        let (to, action) = match others {
            Others::Callers => (format!("user/dev/other-{number}"), "ssm:GetSecretValue"),
            Others::Actions => ("user/dev/app".to_owned(), "ssm:PutSecretValue"),
        };
        let statements: Vec<String> =
            (0..STATEMENTS_PER_DOCUMENT).map(|n| statement(action, &format!("team-{number}/part-{n}/*"))).collect();
        let bytes = document(&statements).into_bytes();
        files.push(PolicyFile { path: format!("documents/d{number}.json"), bytes });
        attachments.push(format!(r#"{{"policy":"d{number}","to":["{to}"]}}"#));
    }
    let text = format!(r#"{{"version":1,"attachments":[{}]}}"#, attachments.join(","));
    files.push(PolicyFile { path: "attachments.json".to_owned(), bytes: text.into_bytes() });
    files
}

fn own_document() -> String {
    let mut statements: Vec<String> = ["dev/*", "prod/pay/*"].map(|name| statement("ssm:GetSecretValue", name)).into();
    statements.push(
        r#"{"effect":"deny","action":"ssm:Get*","resource":"*","condition":{"ip_equal":{"qcs:ip":"11.0.0.0/8"}}}"#
            .to_owned(),
    );
    statements.extend((0..7).map(|n| statement("ssm:PutSecretValue", &format!("part-{n}/*"))));
    document(&statements)
}

fn document(statements: &[String]) -> String {
    format!(r#"{{"version":"2.0","statement":[{}]}}"#, statements.join(","))
}

fn statement(action: &str, name: &str) -> String {
    format!(r#"{{"effect":"allow","action":"{action}","resource":"qcs::ssm:::secret/creatorUin/*/{name}"}}"#)
}

/// casbin by itself: as many rows, its own matcher functions, everything in one policy.
fn plain_casbin(size: usize) -> Duration {
    const MODEL: &str = "[request_definition]\nr = sub, act, obj\n[policy_definition]\np = sub, act, obj, eft\n\
        [policy_effect]\ne = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n\
        [matchers]\nm = r.sub == p.sub && r.act == p.act && keyMatch(r.obj, p.obj)\n";
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let row = |sub: String, obj: String| vec![sub, "ssm:GetSecretValue".to_owned(), obj, "allow".to_owned()];
    let mut rows: Vec<Vec<String>> =
        (1..size).map(|n| row(format!("user/dev/other-{n}"), format!("team-{n}/*"))).collect();
    rows.push(row("user/dev/app".to_owned(), "prod/pay/*".to_owned()));
    let enforcer = runtime.block_on(async {
        let model = DefaultModel::from_str(MODEL).await.unwrap();
        let mut enforcer = Enforcer::new(model, NullAdapter).await.unwrap();
        assert!(enforcer.add_policies(rows).await.unwrap());
        enforcer
    });
    timed(|| enforcer.enforce(("user/dev/app", "ssm:GetSecretValue", "prod/pay/db-password")).unwrap())
}
