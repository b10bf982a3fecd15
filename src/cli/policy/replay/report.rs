//! The report of a replay: one HTML page that loads nothing.

use crate::cli::instant;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24}\
h1{font-size:1.4rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;\
overflow-wrap:anywhere}td.n{text-align:right}.allow{color:#9a3412;font-weight:600}.deny{color:#1e40af;font-weight:600}\
svg{width:100%;height:9rem;margin:1rem 0}.ba{fill:#c2410c}.bd{fill:#1d4ed8}";
/// Height of the timeline, in its own units.
const HEIGHT: u64 = 100;
/// Most days that the timeline shows: the newest.
const DAYS_MAX: usize = 366;

/// The page. Nothing in it is markup but what stands here.
pub(super) fn page(folder: &str, flips: &[Value], undecidable: &[Value], totals: &Value) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>Policy replay</title><style>{STYLE}</style>\
         <h1>What {} would have decided otherwise</h1>\n<p>{} records, {} decisions, {} of them otherwise, in {} flips.</p>\n",
        escaped(folder),
        totals["Records"],
        totals["Decisions"],
        totals["Flipped"],
        flips.len()
    );
    page.push_str(&timeline(flips));
    page.push_str("<table><tr><th>was<th>would<th>principal<th>action<th>resource<th>count<th>last</tr>\n");
    for flip in flips {
        let text = |field: &str| escaped(flip[field].as_str().unwrap_or("-"));
        let _infallible = writeln!(
            page,
            "<tr><td>{}<td class=\"{}\">{}<td>{}<td>{}<td>{}<td class=\"n\">{}<td>{}</tr>",
            text("was"),
            text("would"),
            text("would"),
            text("principal"),
            text("action"),
            text("resource"),
            flip["count"],
            flip["last"].as_u64().map_or_else(|| "-".to_owned(), instant::utc),
        );
    }
    page.push_str("</table>\n");
    for row in undecidable {
        let reason = escaped(row["undecidable"].as_str().unwrap_or("-"));
        let _infallible = writeln!(page, "<p>{} cannot be decided: {reason}.</p>", row["count"]);
    }
    page.push_str("</html>\n");
    page
}

/// Flips by day: what is won over what is lost.
fn timeline(flips: &[Value]) -> String {
    let mut days: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for flip in flips {
        let is_won = flip["would"] == "allow";
        for (day, count) in flip["days"].as_object().into_iter().flatten() {
            let (Ok(day), Some(count)) = (day.parse(), count.as_u64()) else { continue };
            let (won, lost) = days.entry(day).or_default();
            let sum = if is_won { won } else { lost };
            *sum = sum.saturating_add(count);
        }
    }
    let shown: Vec<(u64, (u64, u64))> = days.into_iter().rev().take(DAYS_MAX).collect();
    let (Some((last, _)), Some((first, _))) = (shown.first(), shown.last()) else { return String::new() };
    let width = last.saturating_sub(*first).saturating_add(1);
    let most = shown.iter().map(|(_, (won, lost))| won.saturating_add(*lost)).max().unwrap_or(1).max(1);
    let mut bars = String::new();
    for (day, (won, lost)) in &shown {
        let height = |count: u64| count.saturating_mul(HEIGHT).div_ceil(most);
        let (x, won_height, lost_height) = (day.saturating_sub(*first), height(*won), height(*lost));
        let top = HEIGHT.saturating_sub(lost_height);
        let date = date(*day);
        let _infallible = write!(
            bars,
            "<g><title>{date}: {won} won, {lost} lost</title><rect class=\"bd\" x=\"{x}\" y=\"{top}\" width=\".8\" \
             height=\"{lost_height}\"/><rect class=\"ba\" x=\"{x}\" y=\"{}\" width=\".8\" height=\"{won_height}\"/></g>",
            top.saturating_sub(won_height)
        );
    }
    format!(
        "<svg viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"flips by day\">{bars}</svg>\
         <p>{} to {}: what is won (<span class=\"allow\">deny to allow</span>) above what is lost (<span \
         class=\"deny\">allow to deny</span>).</p>\n",
        date(*first),
        date(*last)
    )
}

/// A day since 1970-01-01, as people write it.
fn date(day: u64) -> String {
    let seconds = i64::try_from(day.saturating_mul(86_400)).unwrap_or(i64::MAX);
    chrono::DateTime::from_timestamp(seconds, 0).map(|at| at.date_naive().to_string()).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_caller_is_called_is_no_markup_and_each_day_has_its_bar() {
        let flips = [
            json!({"principal": "user/corp/<b>\"&", "action": "ssm:GetSecretValue", "resource": "r", "was": "allow",
                "would": "deny", "count": 3, "last": 1_767_312_000, "days": {"20454": 2, "20456": 1}}),
            json!({"principal": "user/corp/b", "action": "ssm:GetSecretValue", "resource": null, "was": "deny",
                "would": "allow", "count": 4, "last": 1_767_225_600, "days": {"20454": 4}}),
        ];
        let totals = json!({"Records": 9, "Decisions": 8, "Flipped": 7});
        let page = page("a<b", &flips, &[json!({"undecidable": "why", "count": 1})], &totals);
        assert!(page.contains("user/corp/&lt;b&gt;&quot;&amp;") && page.contains("What a&lt;b would"));
        assert!(
            !page.contains("<b>")
                && !page.contains("<script")
                && !page.contains("http://")
                && !page.contains("https://")
        );
        assert!(page.contains("2026-01-01: 4 won, 2 lost") && page.contains("2026-01-03: 0 won, 1 lost"));
        assert_eq!(page.matches("<rect").count(), 4);
        assert!(page.contains("1 cannot be decided: why."));
    }

    #[test]
    fn without_flips_there_is_no_timeline() {
        assert_eq!(timeline(&[]), "");
    }
}
