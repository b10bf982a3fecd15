//! `keyward audit query`: questions to the trail, which are checked before they are asked.

use crate::access::asked;
use crate::actions::{self, Action};
use crate::cli::client::Client;
use crate::cli::instant::{self, When, when};
use crate::cli::output::Column;
use crate::cli::{Context, Failure, stdout};
use crate::clock;
use crate::principal::Kind;
use clap::Args;
use serde_json::{Map, Value};

/// Filters, ANDed.
#[derive(Args)]
pub(in crate::cli) struct Query {
    /// Who: user/<issuer>/<sub>, service/<name>, ...
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// An issuer's exact `iss`
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,
    /// A qualified group, group/<issuer>/<group>
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// One secret, by name or as six segments
    #[arg(long, value_name = "NAME", conflicts_with = "resource_prefix")]
    resource: Option<String>,
    /// Secrets whose names start so
    #[arg(long, value_name = "PREFIX")]
    resource_prefix: Option<String>,
    /// An action, as GetSecretValue or ssm:GetSecretValue
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// allow, deny or error
    #[arg(long, value_name = "DECISION", value_parser = ["allow", "deny", "error"])]
    decision: Option<String>,
    /// ok, denied, failed, pending or unknown
    #[arg(long, value_name = "OUTCOME", value_parser = ["ok", "denied", "failed", "pending", "unknown"])]
    outcome: Option<String>,
    /// From this time on, as 2027-01-31 or 2027-01-31T12:00:00Z, or so long ago as 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = when)]
    start_time: Option<When>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = when)]
    end_time: Option<When>,
    /// From this index on
    #[arg(long, value_name = "INDEX")]
    start_index: Option<u64>,
    /// Before this index
    #[arg(long, value_name = "INDEX")]
    end_index: Option<u64>,
    /// Records of one page (1 to 200)
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u64,
    /// Follow the pages to the end
    #[arg(long)]
    all: bool,
}

impl Query {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut parameters = self.parameters()?;
        let client = Client::new(context)?;
        let mut shown = 0_usize;
        loop {
            let page = client.call("SearchRecords", &Value::Object(parameters.clone()))?;
            let records = page.get("Records").and_then(Value::as_array).cloned().unwrap_or_default();
            shown = shown.saturating_add(records.len());
            show(context, records);
            let next = page.get("NextCursor").and_then(Value::as_str).unwrap_or_default().to_owned();
            if next.is_empty() || !self.all || stdout::is_lost() {
                let more = if next.is_empty() { "" } else { "; more with --all or a larger --limit" };
                context.output.say(&format!("{shown} records{more}"));
                self.explain_nothing(context, shown);
                return Ok(());
            }
            parameters.insert("Cursor".to_owned(), Value::from(next));
        }
    }

    /// What the gateway is asked for.
    ///
    /// # Errors
    /// No record can be found so: a typing error is not to be taken for a trail without such records.
    fn parameters(&self) -> Result<Map<String, Value>, Failure> {
        let now_s = now_s();
        let time = |when: Option<When>| when.map(|when| when.at_s(now_s));
        let (start, end) = (time(self.start_time), time(self.end_time));
        in_order("time", start, end)?;
        in_order("index", self.start_index, self.end_index)?;
        let texts = [
            ("Principal", checked(self.principal.as_deref(), principal)?),
            ("Issuer", checked(self.issuer.as_deref(), |text| nonempty("--issuer", text))?),
            ("Group", checked(self.group.as_deref(), group)?),
            ("Resource", checked(self.resource.as_deref(), |text| nonempty("--resource", text))?),
            ("ResourcePrefix", checked(self.resource_prefix.as_deref(), beginning)?),
            ("Action", checked(self.action.as_deref(), action)?),
            ("Decision", self.decision.clone()),
            ("Outcome", self.outcome.clone()),
        ];
        let numbers = [
            ("StartTime", start),
            ("EndTime", end),
            ("StartIndex", self.start_index),
            ("EndIndex", self.end_index),
            ("Limit", Some(self.limit)),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))));
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), Value::from(number?))));
        Ok(texts.chain(numbers).collect())
    }

    /// An issuer's short name is the likeliest reason why nothing was found, and may be its `iss` all the same; and so is a start
    /// in the future, where there are records only if a clock ran ahead.
    fn explain_nothing(&self, context: &Context, shown: usize) {
        if shown > 0 {
            return;
        }
        let now_s = now_s();
        if self.start_time.is_some_and(|start| start.at_s(now_s) > now_s) {
            context.output.note("--start-time lies in the future");
        }
        if let Some(name) = self.issuer.as_deref().filter(|issuer| !issuer.contains(':')) {
            let text = "is compared with the whole `iss` of tokens, as https://idp.example.com; the name of an issuer in \
                        keyward.toml is in its principals";
            context.output.note(&format!("`{name}` {text}: --principal user/{name}/SUB"));
        }
    }
}

fn now_s() -> u64 {
    clock::system().clock.wall_us() / 1_000_000
}

fn usage<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(text.into()))
}

fn checked(text: Option<&str>, check: impl Fn(&str) -> Result<String, Failure>) -> Result<Option<String>, Failure> {
    text.map(check).transpose()
}

fn in_order(what: &str, start: Option<u64>, end: Option<u64>) -> Result<(), Failure> {
    match (start, end) {
        (Some(start), Some(end)) if start >= end => {
            usage(format!("--start-{what} is not before --end-{what}: no record is between them"))
        }
        _ => Ok(()),
    }
}

fn nonempty(option: &str, text: &str) -> Result<String, Failure> {
    if text.is_empty() { usage(format!("{option} is empty")) } else { Ok(text.to_owned()) }
}

fn principal(text: &str) -> Result<String, Failure> {
    match asked::principal(text) {
        Ok(principal) if principal.kind() == Kind::Group => usage(format!("`{text}` asks for nothing itself: --group")),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => usage(error.to_string()),
    }
}

fn group(text: &str) -> Result<String, Failure> {
    match asked::principal(text) {
        Ok(principal) if principal.kind() == Kind::Group => Ok(text.to_owned()),
        Ok(_) | Err(_) => usage(format!("`{text}` is no group/<issuer>/<group>")),
    }
}

/// An action by its full name; also what only keyward itself does.
fn action(text: &str) -> Result<String, Failure> {
    if actions::OWN.contains(&text) {
        return Ok(text.to_owned());
    }
    asked::action(text).map(Action::full_name).or_else(|error| usage(error.to_string()))
}

/// What a secret's name can begin with.
fn beginning(text: &str) -> Result<String, Failure> {
    let text = nonempty("--resource-prefix", text)?;
    let can_begin = asked::secret_name(&text).is_ok() || asked::secret_name(&format!("{text}x")).is_ok();
    if can_begin { Ok(text) } else { usage(format!("no secret's name begins with `{text}`")) }
}

/// Whole records for programs; for people what happened, in a line each.
fn show(context: &Context, mut records: Vec<Value>) {
    if !context.output.is_json() {
        records.iter_mut().for_each(make_readable);
    }
    let columns = [
        Column::whole("index", "/index"),
        Column::whole("time", "/shown_time"),
        Column::name("principal", "/principal"),
        Column::name("action", "/shown_action"),
        Column::name("resource", "/shown_on"),
        Column::spare("version", "/secret_version"),
        ("result", "/shown_result").into(),
    ];
    context.output.rows(&columns, &records);
}

fn make_readable(record: &mut Value) {
    let time = record.get("time").and_then(Value::as_u64).map(|time| instant::utc(time / 1_000_000));
    let word = |field: &str| record.get(field).and_then(Value::as_str).unwrap_or_default();
    // Operations have one name across services.
    let action = word("action").rsplit(':').next().map(str::to_owned);
    let on = what_it_was_on(record);
    let result = match (word("decision"), word("outcome"), word("reason")) {
        ("allow", "ok", "") => "allow".to_owned(),
        ("", outcome, "") => outcome.to_owned(),
        ("", outcome, reason) => format!("{outcome} ({reason})"),
        (decision, outcome, "") => format!("{decision} ({outcome})"),
        (decision, _, reason) => format!("{decision} ({reason})"),
    };
    if let Some(object) = record.as_object_mut() {
        object.insert("shown_time".to_owned(), Value::from(time));
        object.insert("shown_action".to_owned(), Value::from(action));
        object.insert("shown_on".to_owned(), Value::from(on));
        object.insert("shown_result".to_owned(), Value::from(result));
    }
}

/// A secret's name alone, since the segments before it are the same for all of them; of other resources the last segment, and of
/// what keyward itself did, which.
fn what_it_was_on(record: &Value) -> String {
    let resource = record.get("resource").and_then(Value::as_str).unwrap_or_default();
    let last = resource.splitn(6, ':').nth(5).unwrap_or_default();
    match last.strip_prefix("secret/creatorUin/").and_then(|secret| secret.split_once('/')) {
        Some((_, name)) => name.to_owned(),
        None if last.is_empty() => {
            record.pointer("/parameters/event").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        None => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_tells_what_it_was_on() {
        let on = |resource: &str, event: &str| {
            what_it_was_on(&json!({"resource": resource, "parameters": {"event": event}}))
        };
        assert_eq!(on("qcs::ssm:local:uin/1:secret/creatorUin/12/prod/a=b/db", ""), "prod/a=b/db");
        assert_eq!(on("qcs::ssm:local:uin/1:secret/creatorUin/*/db", ""), "db");
        assert_eq!(on("qcs::kms:local:uin/1:key/team", ""), "key/team");
        assert_eq!(on("", "start"), "start");
    }
}
