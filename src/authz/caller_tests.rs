use super::super::testing::{Ask, ask, attached, document, grouped, loaded, statement};
use super::super::{Reason, Verdict};

/// Which of the two ways something counts: an allow attached to `subject`, a deny, and a boundary.
fn counts(groups: &str, subject: &str, ask: &Ask) -> (bool, bool, bool) {
    let all = document(&statement("allow", "*"));
    let none = document(&statement("deny", "*"));
    let files = |attachments: String| {
        let role = r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/corp/a"]}}]}"#;
        loaded(&[
            ("documents/all.json", &all),
            ("documents/none.json", &none),
            ("roles/r.json", role),
            ("attachments.json", &attachments),
        ])
    };
    let own = ask.clone();
    let principal = own.question(None, |question| question.caller.principal.as_str().to_owned());
    let allow = ask.is_allowed(&files(grouped(groups, &[("all", subject)], &[])));
    let deny = !ask.is_allowed(&files(grouped(groups, &[("all", &principal), ("none", subject)], &[])));
    let boundary = !ask.is_allowed(&files(grouped(groups, &[("all", &principal)], &[("none", subject)])));
    assert!(ask.is_allowed(&files(grouped(groups, &[("all", &principal)], &[]))));
    (allow, deny, boundary)
}

const FULL: (bool, bool, bool) = (true, true, true);

const RESTRICTS: (bool, bool, bool) = (false, true, true);

const NOTHING: (bool, bool, bool) = (false, false, false);

#[test]
fn vectors_what_counts_for_a_bearer_token() {
    let token = ask("user/corp/a").groups(&["group/corp/x"]).roles(&["role/corp/q"]);
    for subject in ["group/corp/x", "role/corp/q", "issuer/corp", "everyone", "user/corp/a"] {
        assert_eq!(counts("", subject, &token), FULL, "{subject}");
    }
    for member in ["group/corp/x", "user/corp/a", "role/corp/q"] {
        assert_eq!(counts(&format!(r#""y":["{member}"]"#), "group/local/y", &token), FULL, "{member}");
    }
    for subject in ["group/corp/z", "role/corp/x", "issuer/dev", "user/corp/b", "user/dev/a"] {
        assert_eq!(counts("", subject, &token), NOTHING, "{subject}");
    }
}

#[test]
fn vectors_c44_what_counts_for_an_access_key() {
    let key = ask("user/corp/a").access_key().restricted(&["group/corp/x", "role/corp/q"]);
    for subject in ["group/corp/x", "role/corp/q"] {
        assert_eq!(counts("", subject, &key), RESTRICTS, "{subject}");
    }
    for subject in ["user/corp/a", "issuer/corp", "everyone"] {
        assert_eq!(counts("", subject, &key), FULL, "{subject}");
    }
    assert_eq!(counts(r#""y":["user/corp/a"]"#, "group/local/y", &key), FULL);
    assert_eq!(counts(r#""y":["group/corp/x"]"#, "group/local/y", &key), RESTRICTS);
    assert_eq!(counts(r#""y":["group/corp/x"],"z":["group/local/y"]"#, "group/local/z", &key), RESTRICTS);
    assert_eq!(counts(r#""y":["group/corp/x","user/corp/a"]"#, "group/local/y", &key), FULL, "reached both ways");
    assert_eq!(counts(r#""y":["group/corp/x"],"z":["group/local/y","user/corp/a"]"#, "group/local/z", &key), FULL);
}

#[test]
fn vectors_c44_what_counts_for_a_session() {
    let session = ask("role/local/r").session(Some("corp")).restricted(&["group/corp/x"]);
    for subject in ["role/local/r", "everyone"] {
        assert_eq!(counts("", subject, &session), FULL, "{subject}");
    }
    assert_eq!(counts(r#""z":["role/local/r"]"#, "group/local/z", &session), FULL);
    for subject in ["group/corp/x", "issuer/corp"] {
        assert_eq!(counts("", subject, &session), RESTRICTS, "{subject}");
    }
    assert_eq!(counts("", "user/corp/a", &session), NOTHING, "whoever took the role is not asked about");
    assert_eq!(counts("", "issuer/dev", &session), NOTHING);
}

#[test]
fn a_policy_attached_both_ways_counts_in_full() {
    let key = ask("user/corp/a").access_key().restricted(&["group/corp/x"]);
    for attachments in [[("p", "group/corp/x"), ("p", "user/corp/a")], [("p", "everyone"), ("p", "group/corp/x")]] {
        let all = document(&statement("allow", "*"));
        assert!(
            key.is_allowed(&loaded(&[("documents/p.json", &all), ("attachments.json", &attached(&attachments, &[]))]))
        );
    }
}

#[test]
fn groups_and_roles_given_beside_a_key_or_session_only_restrict() {
    assert_eq!(counts("", "group/corp/x", &ask("user/corp/a").access_key().groups(&["group/corp/x"])), RESTRICTS);
    assert_eq!(counts("", "role/corp/x", &ask("role/local/r").session(None).roles(&["role/corp/x"])), RESTRICTS);
}

#[test]
fn attack_d09_a_credential_cannot_name_what_the_folder_defines() {
    let token =
        ask("user/corp/a").groups(&["group/local/y", "user/corp/root"]).roles(&["role/local/r", "group/local/y"]);
    assert_eq!(counts(r#""y":["user/corp/z"]"#, "group/local/y", &token), NOTHING);
    for subject in ["role/local/r", "user/corp/root"] {
        assert_eq!(counts("", subject, &token), NOTHING, "{subject}");
    }
}

#[test]
fn attack_d09_a_sub_or_group_spelled_like_another_principal_is_only_itself() {
    for (principal, groups) in [
        ("user/dev/user/corp/a", &[][..]),
        ("user/dev/role/local/r", &[]),
        ("user/dev/everyone", &["group/dev/local/y", "group/dev/issuer/corp", "group/dev/corp/x"]),
    ] {
        let token = ask(principal).groups(groups);
        for subject in ["user/corp/a", "role/local/r", "issuer/corp", "group/corp/x", "group/local/y"] {
            assert_eq!(counts(r#""y":["user/corp/z"]"#, subject, &token), NOTHING, "{principal} {subject}");
        }
    }
}

#[test]
fn attack_d09_a_deny_on_a_group_far_up_is_not_lost() {
    for depth in [11, 10_000] {
        let mut groups = vec![r#""g0":["user/dev/a"]"#.to_owned()];
        groups.extend((1..depth).map(|n| format!(r#""g{n}":["group/local/g{}"]"#, n - 1)));
        let top = format!("group/local/g{}", depth - 1);
        let attachments = grouped(&groups.join(","), &[("all", "everyone"), ("none", &top)], &[]);
        let set = loaded(&[
            ("documents/all.json", &document(&statement("allow", "*"))),
            ("documents/none.json", &document(&statement("deny", "*"))),
            ("attachments.json", &attachments),
        ]);
        assert_eq!(ask("user/dev/a").decide(&set).outcome, Verdict::Deny(Reason::Explicit));
        assert_eq!(ask("user/dev/b").decide(&set).outcome, Verdict::Allow);
        let (found, _) = ask("user/dev/a")
            .question(None, |question| set.local_groups_and_roles(&question.caller, &set.reach(&question.caller)));
        assert_eq!(found.len(), depth);
    }
}

#[test]
fn attack_d09_ten_thousand_roles_on_one_caller_are_all_held_against_it() {
    let roles: Vec<String> = (0..10_000).map(|n| format!("role/corp/r{n}")).collect();
    let names: Vec<&str> = roles.iter().map(String::as_str).collect();
    let set = loaded(&[
        ("documents/all.json", &document(&statement("allow", "*"))),
        ("documents/none.json", &document(&statement("deny", "*"))),
        ("attachments.json", &attached(&[("all", "everyone"), ("none", "role/corp/r9999")], &[])),
    ]);
    assert_eq!(ask("user/corp/a").roles(&names).decide(&set).outcome, Verdict::Deny(Reason::Explicit));
}

#[test]
fn what_the_folder_gives_is_listed_for_the_record() {
    let groups = r#""b":["group/corp/x"],"a":["group/local/b","role/local/r"],"c":["user/corp/z"]"#;
    let role = r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/corp/a"]}}]}"#;
    let set = loaded(&[("roles/r.json", role), ("attachments.json", &grouped(groups, &[], &[]))]);
    let given = |ask: Ask| {
        let (groups, roles) =
            ask.question(None, |question| set.local_groups_and_roles(&question.caller, &set.reach(&question.caller)));
        groups.into_iter().chain(roles).map(|principal| principal.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(given(ask("user/corp/a").groups(&["group/corp/x"])), ["group/local/a", "group/local/b"]);
    assert_eq!(
        given(ask("user/corp/a").access_key().restricted(&["group/corp/x"])),
        ["group/local/a", "group/local/b"]
    );
    assert_eq!(given(ask("role/local/r").session(None)), ["group/local/a", "role/local/r"]);
    assert!(given(ask("user/corp/a")).is_empty());
}
