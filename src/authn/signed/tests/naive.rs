//! Requests of any form, signed by a second implementation.

use super::*;
use proptest::prelude::*;

/// A signed request of this moment by the naive signer.
fn signed(headers: &[(String, String)], query: &str, body: &[u8], timestamp: u64) -> Tc3Request {
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let payload = hex::encode(Sha256::digest(body));
    let canonical = format!("POST\n/\n{query}\n{lines}\n{}\n{payload}", names.join(";"));
    let digest = hex::encode(Sha256::digest(canonical));
    let text = format!("TC3-HMAC-SHA256\n{timestamp}\n2027-01-15/ssm/tc3_request\n{digest}");
    let signature = Secret(OWN).sign("2027-01-15", "ssm", &[text.into_bytes()]).remove(0);
    Tc3Request {
        authorization: Authorization {
            key: "AKIDEXAMPLE".to_owned(),
            date: "2027-01-15".to_owned(),
            service: "ssm".to_owned(),
            signed: names.iter().map(|name| (*name).to_owned()).collect(),
            signature,
        },
        timestamp: timestamp.to_string(),
        method: "POST".to_owned(),
        query: query.as_bytes().to_vec(),
        values: headers.iter().map(|(_, value)| value.as_bytes().to_vec()).collect(),
        payload: Payload::Body,
    }
}

/// Changes one bit of a part that is signed; `false` if that part is empty.
fn change(request: &mut Tc3Request, body: &mut [u8], part: usize, at: &prop::sample::Index, bit: u8) -> bool {
    let flip = |bytes: &mut [u8]| {
        if bytes.is_empty() {
            return false;
        }
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        true
    };
    // Of texts another digit or letter, so that they stay texts.
    let turn = |text: &mut String| {
        let mut bytes = std::mem::take(text).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        *text = String::from_utf8(bytes).unwrap();
        true
    };
    match part {
        0 => flip(body),
        1 => flip(&mut request.query),
        2 => flip(&mut request.values[0]),
        3 => flip(&mut request.values[1]),
        4 => flip(&mut request.authorization.signature),
        5 => turn(&mut request.timestamp),
        6 => turn(&mut request.authorization.date),
        7 => turn(&mut request.authorization.service),
        8 => turn(&mut request.authorization.signed[0]),
        9 => turn(&mut request.method),
        _ => {
            request.values.reverse();
            request.values[0] != request.values[1]
        }
    }
}

proptest! {
    #[test]
    fn attack_l04_whatever_is_changed_in_a_signed_part_is_refused(
        kind in "[a-z/;= -]{1,30}",
        host in "[a-z.]{1,20}(:[0-9]{1,5})?",
        query in "([a-z]{1,5}=[a-z0-9%+]{0,5}&?){0,3}",
        mut body in prop::collection::vec(any::<u8>(), 0..80),
        part in 0_usize..11,
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let headers = [("content-type".to_owned(), kind.clone()), ("host".to_owned(), host.clone())];
        let mut request = signed(&headers, &query, &body, NOW);
        prop_assert!(request.is_signed_by(&Secret(OWN), &body));
        let before = request.clone();
        prop_assume!(change(&mut request, &mut body, part, &at, bit));
        // What a client signed in lower case may come in any: that is no change.
        let lower = |request: &Tc3Request| -> Vec<Vec<u8>> {
            request.values.iter().map(|value| value.to_ascii_lowercase()).collect()
        };
        let is_case = [2, 3].contains(&part) && lower(&request) == lower(&before);
        // The port of the Host may be left out by who signs, and then is not bound.
        prop_assert_eq!(request.is_signed_by(&Secret(OWN), &body), is_case && is_all_lower(&before));
    }

    #[test]
    fn i10_any_header_is_read_or_refused(text in "\\PC{0,80}", tail in "[A-Za-z0-9/;=, -]{0,120}") {
        let _read = Authorization::parse(&text);
        let _read = Authorization::parse(&format!("TC3-HMAC-SHA256 {tail}"));
        let _read = Authorization::parse(&format!("TC3-HMAC-SHA256 Credential={tail}, SignedHeaders={tail}, Signature={tail}"));
    }
}

fn is_all_lower(request: &Tc3Request) -> bool {
    request.values.iter().all(|value| !value.iter().any(u8::is_ascii_uppercase))
}
