//! `keyward policy suggest`: the least that policies need to grant for what was done, as the trail of the running gateway tells it.

use super::folder::Folder;
use super::lines;
use crate::cli::client::Client;
use crate::cli::instant::{self, When, when};
use crate::cli::output::{self, Column};
use crate::cli::{Context, Failure};
use crate::clock;
use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(in crate::cli) struct Suggest {
    /// Only for this principal: user/corp/alice, role/local/deploy; all documents if absent
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// From when on: a time, or how long ago; all of the trail if absent
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Also write the live folder with the suggestions in it, as a new directory
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// The folder that is live, for `--write`; the configured one if absent
    #[arg(long, value_name = "DIR", requires = "write")]
    policies: Option<PathBuf>,
}

impl Suggest {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        // What would go wrong in the end is said before anything is asked.
        let target =
            self.write.as_deref().map(|dir| Target::find(context, dir, self.policies.as_deref())).transpose()?;
        let mut told = Vec::new();
        lines::ask(&Client::new(context)?, "SuggestPolicies", &self.parameters(), "reading the trail", |line| {
            told.push(line);
        })?;
        let totals = told.last().filter(|line| line.get("Suggestions").is_some());
        let totals = totals.ok_or_else(|| anyhow!("the gateway's answer broke off; nothing is known"))?;
        if context.output.is_json() {
            told.iter().for_each(|line| output::line(&line.to_string()));
        } else {
            show(context, &told, totals);
        }
        if let Some(target) = target {
            target.write(context, &told, text(totals, "Revision"))?;
        }
        Ok(())
    }

    fn parameters(&self) -> Value {
        let mut parameters = Map::new();
        if let Some(principal) = &self.principal {
            parameters.insert("Principal".to_owned(), Value::from(principal.as_str()));
        }
        if let Some(since) = self.since {
            let now_s = clock::system().clock.wall_us() / 1_000_000;
            parameters.insert("StartTime".to_owned(), Value::from(since.at_s(now_s)));
        }
        Value::Object(parameters)
    }
}

/// Where a folder is written to, and from.
struct Target<'a> {
    dir: &'a Path,
    live: Folder,
    /// Of what is in `live`.
    revision: String,
}

impl<'a> Target<'a> {
    fn find(context: &Context, dir: &'a Path, live: Option<&Path>) -> Result<Self, Failure> {
        if dir.exists() {
            return Err(Failure::Usage(format!("`{}` is there already; name a directory that is not", dir.display())));
        }
        let live = Folder::find(context, live)?;
        let set = live.load().map_err(|findings| {
            findings.iter().for_each(|finding| output::line(&finding.to_string()));
            Failure::Invalid(format!("`{}` has {} error(s)", live.dir.display(), findings.len()))
        })?;
        let revision = set.revision().to_owned();
        Ok(Self { dir, live, revision })
    }

    /// Writes the files of the folder, tests and waivers too, with what was suggested in their place.
    fn write(self, context: &Context, told: &[Value], revision: &str) -> Result<(), Failure> {
        let suggested: Vec<&Value> = told.iter().filter(|line| line.get("Suggested").is_some()).collect();
        if suggested.is_empty() {
            context.output.note(&format!("nothing is suggested, so `{}` is not written", self.dir.display()));
            return Ok(());
        }
        if self.revision != revision {
            let folder = self.live.dir.display();
            let error =
                anyhow!("`{folder}` is not what is live: its revision is {}, live is {revision}", self.revision);
            return Err(Failure::Failed(error.context("nothing was written; name the live folder by --policies DIR")));
        }
        let own = self.live.files.into_iter().map(|file| (file.path, file.bytes));
        let mut files: BTreeMap<String, Vec<u8>> = own.collect();
        for one in suggested {
            let path = text(one, "Suggested");
            match one["Text"].as_str() {
                Some(text) => files.insert(path.to_owned(), text.as_bytes().to_vec()),
                None => files.remove(path),
            };
        }
        write_new(self.dir, &files)?;
        context.output.say(&format!("wrote `{}`, {} files", self.dir.display(), files.len()));
        Ok(())
    }
}

fn write_new(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    let made = |dir: &Path| fs::create_dir(dir).with_context(|| format!("cannot create `{}`", dir.display()));
    made(dir)?;
    for (path, bytes) in files {
        let path = dir.join(path);
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            made(parent)?;
        }
        output::write_private_file(&path, bytes)?;
    }
    Ok(())
}

fn show(context: &Context, told: &[Value], totals: &Value) {
    let of = |kind: &str| told.iter().filter(|line| line.get(kind).is_some()).collect::<Vec<_>>();
    of("Suggested").into_iter().for_each(|line| show_suggestion(context, line));
    for line in of("Withheld") {
        context.output.say(&format!("{}: nothing is suggested: {}", text(line, "Withheld"), text(line, "Reason")));
    }
    let places = |lines: Vec<&Value>, what: &str| -> Vec<Value> {
        let placed = |line: &&Value| json!({"file": line[what], "statement": line["Statement"], "line": line["Line"]});
        lines.iter().map(placed).collect()
    };
    let unused = places(of("Unused"), "Unused");
    if !unused.is_empty() {
        context.output.say("\nNobody used:");
        let columns =
            [Column::name("file", "/file"), Column::whole("statement", "/statement"), Column::spare("line", "/line")];
        context.output.rows(&columns, &unused);
    }
    let wildcards: Vec<Value> = of("Wildcard").into_iter().cloned().collect();
    if !wildcards.is_empty() {
        context.output.say("\nWildcards, and all that they were used for:");
        let columns = [
            Column::name("wildcard", "/Wildcard"),
            Column::name("used for", "/Used"),
            Column::name("file", "/Path"),
            Column::whole("statement", "/Statement"),
        ];
        context.output.rows(&columns, &wildcards);
    }
    for line in of("Undecidable") {
        let (count, first) = (&line["Count"], &line["FirstIndex"]);
        let why = text(line, "Undecidable");
        context.output.say(&format!("{count} accesses cannot be decided, the first at index {first}: {why}"));
    }
    show_totals(context, totals);
}

fn show_suggestion(context: &Context, line: &Value) {
    let path = text(line, "Suggested");
    let Some(accesses) = line["Accesses"].as_u64() else {
        // Of attachments.json all is known from what stands above it.
        return context.output.say(&format!("{path}: changes with it"));
    };
    let takes = match (line["TakesAway"].as_u64(), line["NotCompared"].as_str()) {
        (Some(0), _) => "takes nothing away by itself".to_owned(),
        (Some(count), _) => format!("takes {count} thing(s) away, nothing that was done"),
        (None, why) => format!("how much it takes away is not known: {}", why.unwrap_or_default()),
    };
    let rests = format!("{accesses} accesses, {} records, {} day(s)", line["Records"], line["Days"]);
    match line["Text"].as_str() {
        None if line["Principal"].is_string() => {
            let who = text(line, "Principal");
            context.output.say(&format!("`{who}` used nothing that is attached to it: {takes}; rests on {rests}"));
        }
        Some(text) => {
            context.output.say(&format!("{path}: {takes}; rests on {rests}"));
            context.output.say(text.trim_end());
        }
        None => context.output.say(&format!("{path}: goes, nothing of it was used; {takes}; rests on {rests}")),
    }
    for kept in line["Keeps"].as_array().into_iter().flatten() {
        let to: Vec<&str> = kept["To"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let document = text(kept, "Document");
        context.output.say(&format!("stays as it is: `{document}`, attached to {}", to.join(", ")));
    }
}

fn show_totals(context: &Context, totals: &Value) {
    let denied = totals["DeniedNow"].as_u64().filter(|count| *count > 0);
    if let Some(count) = denied {
        context
            .output
            .say(&format!("{count} accesses that were allowed once are denied by what is live, and were left out"));
    }
    let time = |field: &str| totals[field].as_u64().map(instant::utc).unwrap_or_default();
    let span = match totals["Records"].as_u64() {
        Some(0) => "There are no records of that time: nothing is known.".to_owned(),
        _ => format!("from {} to {}, {} day(s).", time("FirstTime"), time("LastTime"), totals["Days"]),
    };
    context.output.say(&format!(
        "\n{} suggestion(s) from {} accesses in {} records {span}",
        totals["Suggestions"], totals["Accesses"], totals["Records"]
    ));
    context.output.say("What happens more rarely is not in it: a job of the year's end, a restore, an emergency.");
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
