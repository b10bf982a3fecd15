//! The requests of a small universe, and whether a line tells of one.

use std::collections::{BTreeMap, BTreeSet};

use crate::actions::{Action, ConditionKey, Level, by_name};
use crate::authz::condition::Outcome;
use crate::authz::decision::{Caller, Context, CredentialForm, Question, StatementEffect, Target};
use crate::authz::diff::callers::{Base, Population, Who};
use crate::authz::diff::compare::Atom;
use crate::authz::diff::lines::Line;
use crate::authz::diff::sides::{On, Variant};
use crate::authz::diff::values::clause_holds;
use crate::authz::facts::Facts;
use crate::authz::oracle_tests::dice::Dice;
use crate::authz::oracle_tests::question::{Ask, Form, What};
use crate::authz::pattern::Pattern;
use crate::authz::set::PolicySet;
use crate::principal::{Kind, Principal};
use crate::resource::{CreatorNumber, SecretName};

/// A request of a credential as it can be.
#[derive(Clone, Debug)]
pub(super) struct Request(Ask);

const CALLERS: [(&str, &[&str]); 15] = [
    ("user/corp/a", &[]),
    ("user/corp/a", &["group/corp/x"]),
    ("user/corp/a", &["group/corp/x", "group/corp/y"]),
    ("user/corp/a", &["group/corp/y", "role/corp/p"]),
    ("user/corp/b", &[]),
    ("user/corp/b", &["group/corp/x"]),
    ("user/corp/b", &["group/corp/y"]),
    ("user/corp/b", &["group/corp/x", "group/corp/y"]),
    ("user/corp/b", &["group/corp/x", "group/corp/y", "role/corp/p"]),
    ("user/dev/c", &[]),
    ("user/dev/d", &["group/dev/x"]),
    ("role/local/r", &[]),
    ("role/local/r", &["group/corp/x"]),
    ("role/local/r", &["group/corp/y", "role/corp/p"]),
    ("service/ssm", &[]),
];
const UINS: [u64; 4] = [7, 70, 9, 71];

fn creator(number: u64) -> CreatorNumber {
    CreatorNumber::new(number).expect("a small number")
}

/// Every request of some callers, for some actions, on every target, in every circumstance of a few.
pub(super) fn requests(dice: &mut Dice) -> Vec<Request> {
    let mut all = Vec::new();
    let actions = [
        "GetSecretValue",
        "CreateSecret",
        "DeleteSecret",
        "ListSecrets",
        "Decrypt",
        "AssumeRole",
        "AssumeRoleWithWebIdentity",
    ];
    let mut some: Vec<&str> = dice.some(&actions, 1, 2);
    some.push("GetSecretValue");
    let contexts: Vec<BTreeMap<ConditionKey, Vec<String>>> = contexts(dice);
    let key = dice.percent(30);
    for _ in 0..6 {
        let (principal, claims) = dice.one(&CALLERS);
        let uin = dice.one(&UINS);
        for action in &some {
            let action = by_name(action).expect("an action");
            for target in targets(action, uin) {
                for context in &contexts {
                    let ask = ask((principal, claims, key), uin, action, target.clone(), context);
                    all.extend(Request::of(ask));
                }
            }
        }
    }
    all
}

fn ask(
    (principal, claims, key): (&str, &[&str], bool),
    uin: u64,
    action: &'static Action,
    target: What,
    context: &BTreeMap<ConditionKey, Vec<String>>,
) -> Ask {
    let principal = Principal::parse(principal).expect("a principal");
    let claims: Vec<Principal> = claims.iter().map(|claim| Principal::parse(claim).expect("a principal")).collect();
    let of = |kind: Kind| claims.iter().filter(|claim| claim.kind() == kind).cloned().collect::<Vec<_>>();
    let (form, groups, roles, restricted) = match principal.kind() {
        Kind::Role => (Form::Session(Some("corp")), Vec::new(), Vec::new(), claims.clone()),
        Kind::User if key => (Form::AccessKey, Vec::new(), Vec::new(), claims.clone()),
        _ => (Form::Token, of(Kind::Group), of(Kind::Role), Vec::new()),
    };
    let context = Context { values: context.clone() };
    Ask { principal, groups, roles, restricted, creator: creator(uin), form, action, target, context, session: None }
}

fn targets(action: &Action, uin: u64) -> Vec<What> {
    let names = ["db", "prod/db", "prod/a", "a/7", "a/71", "x"].map(|name| SecretName::parse(name).expect("a name"));
    match action.level {
        Level::Operation => vec![What::Operation],
        Level::Creation => names.into_iter().map(|name| What::Secret(Some(creator(uin)), name)).collect(),
        Level::Secret | Level::SecretOrOperation => {
            let of = |number: Option<u64>| names.clone().map(|name| What::Secret(number.map(creator), name));
            [Some(7), Some(70), Some(9), None].into_iter().flat_map(of).collect()
        }
        Level::Key => vec![What::Key("default"), What::Key("k1")],
        Level::Role => {
            ["role/local/r", "role/local/none"].map(|role| What::Role(Principal::parse(role).expect("a role"))).into()
        }
    }
}

fn contexts(dice: &mut Dice) -> Vec<BTreeMap<ConditionKey, Vec<String>>> {
    let lists: [(ConditionKey, &[&[&str]]); 7] = [
        (ConditionKey::Ip, &[&[], &["10.1.2.3"], &["10.2.0.1"], &["11.0.0.1"], &["2001:db8::1"]]),
        (ConditionKey::ResourceTag, &[&[], &["env&prod"], &["env&dev"], &["env&prod", "team&a"], &["k&7"]]),
        (ConditionKey::RequestTag, &[&[], &["env&prod"]]),
        (ConditionKey::CurrentTime, &[&["2026-05-31T23:59:59Z"], &["2026-06-01T00:00:00Z"]]),
        (ConditionKey::Door, &[&["native"], &["tencent"]]),
        (ConditionKey::SecureTransport, &[&["true"], &["false"]]),
        (ConditionKey::RecoveryWindow, &[&["0"], &["6"], &["7"], &["30"]]),
    ];
    let (one, two) = (dice.below(lists.len()), dice.below(lists.len()));
    let mut contexts = vec![BTreeMap::new()];
    for (place, (key, list)) in lists.iter().enumerate() {
        let first = dice.below(list.len());
        let list = if place == one || place == two { list.to_vec() } else { vec![list[first]] };
        let with = |context: &BTreeMap<ConditionKey, Vec<String>>, values: &[&str]| {
            let mut context = context.clone();
            context.insert(*key, values.iter().map(|value| (*value).to_owned()).collect());
            context
        };
        contexts = contexts.iter().flat_map(|context| list.iter().map(move |values| with(context, values))).collect();
    }
    contexts
}

impl Request {
    /// The request with the values that caller and target settle; `None` if no credential is so.
    pub(super) fn of(mut ask: Ask) -> Option<Self> {
        let of_issuer = |one: &Principal| one.issuer() == ask.principal.issuer();
        let all = [&ask.groups, &ask.roles, &ask.restricted].map(|list| list.iter().all(of_issuer));
        let fits = match &ask.form {
            Form::Token | Form::AccessKey => all == [true; 3],
            Form::Session(Some(issuer)) => {
                let mut kept = ask.groups.iter().chain(&ask.roles).chain(&ask.restricted);
                kept.all(|one| one.issuer() == Some(*issuer))
            }
            Form::Session(None) => {
                (ask.groups, ask.roles) = (Vec::new(), Vec::new());
                ask.restricted.retain(|one| one.kind() == Kind::Service);
                ask.restricted.len() == 1
            }
        };
        if !fits || ask.session.is_some() {
            return None;
        }
        if ask.action.name == "AssumeRoleWithWebIdentity" && ask.principal.kind() != Kind::User {
            return None;
        }
        let text = |text: &str| vec![text.to_owned()];
        let mut settled = BTreeMap::from([
            (ConditionKey::Uin, vec![ask.creator.to_string()]),
            (ConditionKey::OwnerUin, text("1")),
            (ConditionKey::OidcSubject, text(ask.principal.name())),
        ]);
        let unknown = matches!(ask.target, What::Secret(None, _));
        settled.insert(
            ConditionKey::CreateUin,
            match &ask.target {
                What::Secret(Some(creator), _) => vec![creator.to_string()],
                _ => Vec::new(),
            },
        );
        let is_secret = matches!(ask.target, What::Secret(Some(_), _));
        for key in ConditionKey::ALL {
            let has = ask.action.has_key(key)
                && !(unknown && key == ConditionKey::ResourceTag)
                && (key != ConditionKey::ResourceTag || is_secret);
            let given = ask.context.values.remove(&key).unwrap_or_default();
            let given = settled.remove(&key).unwrap_or(given);
            let given = if key == ConditionKey::RequestTag && ask.action.name == "UntagResource" {
                given.iter().map(|tag| format!("{}&", tag.split('&').next().unwrap_or_default())).collect()
            } else {
                given
            };
            let given = if given.is_empty() || given == [""] { default(key) } else { distinct(key, given) };
            if has && !given.is_empty() {
                ask.context.values.insert(key, given);
            }
        }
        Some(Self(ask))
    }

    /// A service takes a role only if the role trusts it.
    pub(super) fn can_be(&self, sets: [&PolicySet; 2]) -> bool {
        let trusted =
            |service: &Principal| sets.iter().any(|set| set.role_trusts(&self.0.principal, service) == Some(true));
        self.0.form != Form::Session(None) || self.0.restricted.iter().all(trusted)
    }

    pub(super) fn question(&self) -> Question<'_> {
        let ask = &self.0;
        let form = match ask.form {
            Form::Token => CredentialForm::Token,
            Form::AccessKey => CredentialForm::AccessKey,
            Form::Session(assumed_issuer) => CredentialForm::Session { assumed_issuer },
        };
        let caller = Caller {
            principal: &ask.principal,
            groups: &ask.groups,
            roles: &ask.roles,
            restricted: &ask.restricted,
            creator: ask.creator,
            form,
        };
        let target = match &ask.target {
            What::Operation => Target::Operation,
            What::Secret(creator, name) => Target::Secret { creator: *creator, name },
            What::Key(id) => Target::Key { id },
            What::Role(role) => Target::Role { role },
        };
        Question { caller, action: ask.action, target, context: &ask.context, session_policy: None }
    }

    fn on(&self) -> On {
        match (&self.0.target, self.0.action.level) {
            (What::Operation, _) => On::Nothing,
            (What::Secret(..), Level::Creation) => On::Creation,
            (What::Secret(..), _) => On::Secret,
            (What::Key(_), _) => On::Key,
            (What::Role(role), _) => On::Role(role.clone()),
        }
    }

    /// The subjects that it has beside what it is.
    fn subjects(&self) -> BTreeSet<&Principal> {
        let ask = &self.0;
        let claims = ask.groups.iter().chain(&ask.roles).chain(&ask.restricted);
        let claims = claims.filter(|one| one.kind() != Kind::Service);
        claims.chain((ask.principal.kind() == Kind::User).then_some(&ask.principal)).collect()
    }
}

/// Values of keys that every request has.
fn default(key: ConditionKey) -> Vec<String> {
    let text = match key {
        ConditionKey::CurrentTime => "2026-06-01T00:00:00Z",
        ConditionKey::Door => "native",
        ConditionKey::SecureTransport => "true",
        ConditionKey::RecoveryWindow => "0",
        ConditionKey::TargetUin => "7",
        ConditionKey::OidcIssuer => "https://corp.example",
        _ => return Vec::new(),
    };
    vec![text.to_owned()]
}

/// One tag of each key.
fn distinct(key: ConditionKey, values: Vec<String>) -> Vec<String> {
    if !key.is_many() {
        return values;
    }
    let mut seen = BTreeSet::new();
    let first = |value: &String| seen.insert(value.split('&').next().unwrap_or_default().to_owned());
    values.into_iter().filter(first).collect()
}

/// Whether a line tells of a request: of this caller by all of its subjects, or exactly of what it is.
pub(super) fn tells(line: &Line, request: &Request, population: &Population, exactly: bool) -> bool {
    let on = request.on();
    let of = |variant: &&Variant| variant.action.name == request.0.action.name && variant.on == on;
    let Some(variant) = line.variants.iter().find(of) else { return false };
    line.who.iter().any(|who| is(who, request, population, exactly, variant.is_web())) && circumstances(line, request)
}

fn is(who: &Who, request: &Request, population: &Population, exactly: bool, is_web: bool) -> bool {
    let ask = &request.0;
    let subjects = request.subjects();
    let named: BTreeSet<&Principal> = subjects.iter().copied().filter(|one| population.named.contains(*one)).collect();
    let with: BTreeSet<&Principal> = who.with.iter().collect();
    let issuer = ask.principal.issuer().unwrap_or_default();
    let unnamed = |issuer: &str| population.everyone_is(issuer);
    let base = match (&who.base, &ask.form) {
        (Base::Everyone(_), Form::Token | Form::AccessKey) if ask.principal.kind() == Kind::User => {
            !is_web && (!exactly || unnamed(issuer))
        }
        (Base::Everyone(_), Form::Session(Some(_))) => !exactly,
        (Base::Issuer(of), Form::Token | Form::AccessKey) => of == issuer && ask.principal.kind() == Kind::User,
        (Base::Session(role, of), Form::Session(Some(issuer))) => *role == ask.principal && of == issuer,
        (Base::Work(role, service), Form::Session(None)) => *role == ask.principal && ask.restricted.contains(service),
        (Base::Service(service), Form::Token) => *service == ask.principal,
        _ => false,
    };
    // Whose web identity it is cannot be taken away.
    let is_same_user = !is_web || with.contains(&ask.principal) == population.named.contains(&ask.principal);
    // An access key's groups only restrict: lines are of tokens.
    let exact = ask.form != Form::AccessKey && with == named;
    base && is_same_user && with.is_subset(&subjects) && (!exactly || exact)
}

fn circumstances(line: &Line, request: &Request) -> bool {
    let question = request.question();
    let facts = Facts::of(&question).expect("facts");
    let uin = question.caller.creator.get();
    let text = uin.to_string();
    let is_so = |atom: &Atom| match (atom, &question.target) {
        (Atom::Name(pattern), Target::Secret { name, .. }) => pattern.matches(name.as_str(), &text),
        (Atom::Name(pattern), Target::Key { id }) => pattern.matches(id, &text),
        (Atom::Exists, Target::Secret { creator, .. }) => creator.is_some(),
        (Atom::Own, Target::Secret { creator, .. }) => creator.is_some_and(|number| number.get() == uin),
        (Atom::Creator(wanted), Target::Secret { creator, .. }) => {
            creator.is_some_and(|number| number.get() == *wanted)
        }
        (Atom::Maker(clause), Target::Secret { creator, .. }) => {
            creator.is_some_and(|number| clause_holds(clause, &[number.to_string()], uin))
        }
        _ => false,
    };
    let holds = |clause: &crate::authz::condition::Clause| {
        clause.outcome(&facts, StatementEffect::Allow).expect("an outcome") == Outcome::Holds
    };
    let number = |test: &crate::authz::diff::strings::Test| {
        let pattern = Pattern::parse(&test.to_string(), "1", true).expect("a pattern");
        pattern.matches(&text, &text)
    };
    line.target.iter().all(|(atom, wanted)| is_so(atom) == *wanted)
        && line.condition.iter().any(|all| all.iter().all(|(clause, wanted)| holds(clause) == *wanted))
        && line.numbers.iter().any(|all| all.iter().all(|(test, wanted)| number(test) == *wanted))
}
