//! Random logs and random tampering with them, for the tests alone. Each is made from a seed and nothing else.

use base64::Engine as _;
use ed25519_dalek::{Signer as _, SigningKey};
use keyward_audit_verify::tree::{Digest, Frontier, leaf};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Numbers from a seed (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % (limit.max(1) as u64)) as usize
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key that signs, and its name.
#[derive(Clone)]
pub(crate) struct Key {
    name: String,
    key: SigningKey,
}

impl Key {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        Self { name: name.to_owned(), key: SigningKey::from_bytes(&[seed; 32]) }
    }

    fn typed(&self) -> Vec<u8> {
        [&[1], self.key.verifying_key().as_bytes().as_slice()].concat()
    }

    fn id(&self) -> Vec<u8> {
        Sha256::digest([self.name.as_bytes(), b"\n", &self.typed()].concat())[..4].to_vec()
    }

    pub(crate) fn vkey(&self) -> String {
        format!("{}+{}+{}", self.name, hex(&self.id()), base64(&self.typed()))
    }

    fn sign(&self, message: &str) -> Vec<u8> {
        self.key.sign(message.as_bytes()).to_bytes().to_vec()
    }
}

/// A log in the making.
pub(crate) struct Log {
    pub(crate) records: Vec<String>,
    /// The keys that have signed, the newest last.
    pub(crate) keys: Vec<Key>,
    first_origin: String,
    time: u64,
    epoch: u64,
    sealed: Option<usize>,
    changes: u8,
}

fn root(records: &[String]) -> Digest {
    let mut tree = Frontier::default();
    records.iter().for_each(|record| tree.push(leaf(record.as_bytes())));
    tree.root()
}

impl Log {
    /// A random honest log of about `size` records.
    pub(crate) fn random(numbers: &mut Numbers, size: usize) -> Self {
        let origin = format!("log{}.example.com/keyward", numbers.below(9));
        let mut log = Self {
            records: Vec::new(),
            keys: vec![Key::new(&origin, 1)],
            first_origin: origin,
            time: 1_767_225_600_000_000,
            epoch: 1,
            sealed: None,
            changes: 0,
        };
        while log.records.len() < size {
            log.append(numbers);
        }
        log
    }

    fn append(&mut self, numbers: &mut Numbers) {
        self.time += numbers.next() % 3_000_000;
        match numbers.below(24) {
            0 | 1 => self.seal(numbers),
            2 => self.clock_step(numbers),
            3 if self.changes < 3 => self.rotate(numbers),
            4 if self.changes < 3 => self.lose(numbers),
            5..=7 if !self.records.is_empty() => self.answer(numbers),
            _ => self.access(numbers),
        }
    }

    fn push(&mut self, numbers: &mut Numbers, kind: &str, fields: Value) {
        let (one, two) = (numbers.next(), numbers.next());
        let request = format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            one >> 32,
            one >> 16 & 0xffff,
            one & 0xfff,
            two >> 52,
            two & 0xffff_ffff_ffff
        );
        let mut record = json!({
            "action": format!("keyward:{kind}"), "door": "internal", "epoch": self.epoch, "index": self.records.len(),
            "kind": kind, "outcome": "ok", "request": request, "time": self.time, "version": 1,
        });
        let map = record.as_object_mut().expect("an object");
        map.extend(fields.as_object().expect("an object").clone());
        map.retain(|_, value| !value.is_null());
        self.records.push(record.to_string());
    }

    fn access(&mut self, numbers: &mut Numbers) {
        let agent = ["curl/8", "a \"b\" \\ \u{1}\u{7f}\n", "zürich — \u{1f511}", ""][numbers.below(4)];
        let item = [Value::Null, json!(numbers.below(3)), json!("x")][numbers.below(3)].clone();
        let parameters = json!({"a": [1, true, {"b": "c"}], "item": item});
        let mut parameters = parameters.as_object().expect("an object").clone();
        parameters.retain(|_, value| !value.is_null());
        let context = json!({"conditions": {"qcs:ip": ["10.0.0.1"], "qcs:uin": ["1"]}, "groups": ["group/a/b"]});
        self.push(
            numbers,
            "access",
            json!({"context": context, "decision": "allow", "parameters": parameters, "user_agent": agent}),
        );
    }

    fn answer(&mut self, numbers: &mut Numbers) {
        let answers = numbers.below(self.records.len());
        let answered: Value = serde_json::from_str(&self.records[answers]).expect("a record");
        let answered_before = |record: &String| record.contains(&format!("\"request\":{}", answered["request"]));
        if self.records.iter().filter(|record| answered_before(record)).count() == 1 {
            self.push(
                numbers,
                "outcome",
                json!({"action": answered["action"], "answers": answers, "outcome": "failed", "request": answered["request"]}),
            );
        }
    }

    fn clock_step(&mut self, numbers: &mut Numbers) {
        let before = self.time;
        self.time = self.time + 5_000_000 - numbers.next() % 50_000_000;
        self.push(
            numbers,
            "clock_step",
            json!({"parameters": {"after": self.time, "before": before, "source": "monotonic"}}),
        );
    }

    fn chain(&self) -> Digest {
        let start: Digest = Sha256::digest(format!("keyward-audit-chain/v1\n{}\n", self.first_origin)).into();
        let next = |chain: Digest, record: &String| {
            Sha256::digest([&[2], chain.as_slice(), &leaf(record.as_bytes())].concat()).into()
        };
        self.records.iter().fold(start, next)
    }

    fn seal(&mut self, numbers: &mut Numbers) {
        let mut counts = serde_json::Map::new();
        for record in &self.records[self.sealed.map_or(0, |sealed| sealed + 1)..] {
            let record: Value = serde_json::from_str(record).expect("a record");
            let kind = record["kind"].as_str().expect("a kind").to_owned();
            let count = counts.get(&kind).and_then(Value::as_u64).unwrap_or_default();
            counts.insert(kind, json!(count + 1));
        }
        let mut parameters = json!({"chain": hex(&self.chain()), "counts": counts, "root": hex(&root(&self.records)), "size": self.records.len()});
        if let Some(sealed) = self.sealed {
            parameters["previous"] = json!(sealed);
        }
        self.sealed = Some(self.records.len());
        self.push(numbers, "seal", json!({"outcome": null, "parameters": parameters}));
    }

    fn newest(&self) -> Key {
        self.keys.last().expect("a key").clone()
    }

    fn rotate(&mut self, numbers: &mut Numbers) {
        let old = self.newest();
        self.changes += 1;
        let new = Key::new(&old.name, 1 + self.changes);
        let (old_vkey, new_vkey) = (old.vkey(), new.vkey());
        let statement =
            format!("keyward-key-rotation/v1\n{}\n{old_vkey}\n{new_vkey}\n{}\n", old.name, self.records.len());
        let signatures = (base64(&old.sign(&statement)), base64(&new.sign(&statement)));
        self.push(numbers, "key_rotation", json!({"parameters": {
            "new_signature": signatures.1, "new_vkey": new_vkey, "old_signature": signatures.0, "old_vkey": old_vkey,
        }}));
        self.keys.push(new);
    }

    fn lose(&mut self, numbers: &mut Numbers) {
        let old = self.newest();
        self.changes += 1;
        self.epoch += 1;
        let new = Key::new(&format!("{}-{}", self.first_origin, self.changes), 1 + self.changes);
        let (size, head) = (self.records.len(), root(&self.records));
        let lost = numbers.below(2) == 0;
        let lost_lines = if lost { format!("{}\n{}", size + 3, base64(&[9; 32])) } else { "-\n-".to_owned() };
        let (old_vkey, new_vkey) = (old.vkey(), new.vkey());
        let statement = format!(
            "keyward-audit-loss/v1\n{}\n{}\n{old_vkey}\n{new_vkey}\n{size}\n{lost_lines}\n{size}\n{}\n",
            old.name,
            new.name,
            base64(&head)
        );
        let mut parameters = json!({
            "new_origin": new.name, "new_signature": base64(&new.sign(&statement)), "new_vkey": new_vkey,
            "old_origin": old.name, "old_vkey": old_vkey, "reason": "disk",
            "recovered": {"chain": hex(&self.chain()), "root": hex(&head), "size": size},
        });
        if lost {
            parameters["lost"] = json!({"chain": hex(&[8; 32]), "root": hex(&[9; 32]), "size": size + 3});
        }
        if numbers.below(2) == 0 {
            parameters["old_signature"] = json!(base64(&old.sign(&statement)));
        }
        self.push(numbers, "loss", json!({"parameters": parameters}));
        self.keys.push(new);
    }

    /// Every key that has ever signed, one vkey a line.
    pub(crate) fn vkeys(&self) -> String {
        self.keys.iter().map(|key| key.vkey() + "\n").collect()
    }

    /// The checkpoint over all records, as the newest key signs it; the border of a rotation with both keys.
    pub(crate) fn checkpoint(&self) -> String {
        let new = self.newest();
        let text = format!("{}\n{}\n{}\n", new.name, self.records.len(), base64(&root(&self.records)));
        let border = self.records.last().is_some_and(|last| last.contains("\"kind\":\"key_rotation\""));
        let signers = self.keys.iter().rev().take(if border { 2 } else { 1 });
        let line = |key: &Key| {
            let payload = [key.id(), key.sign(&text)].concat();
            format!("\u{2014} {} {}\n", key.name, base64(&payload))
        };
        format!("{text}\n{}", signers.map(line).collect::<String>())
    }

    /// The checkpoint that was signed when the log had `size` records.
    pub(crate) fn checkpoint_at(&self, size: usize) -> String {
        let changes =
            |kind: &str| self.records[..size].iter().filter(|r| r.contains(&format!("\"kind\":\"{kind}\""))).count();
        let keys = self.keys[..=changes("key_rotation") + changes("loss")].to_vec();
        let earlier =
            Self { records: self.records[..size].to_vec(), keys, first_origin: self.first_origin.clone(), ..*self };
        earlier.checkpoint()
    }

    pub(crate) fn leaf_lines(&self) -> String {
        self.records.iter().map(|record| base64(&leaf(record.as_bytes())) + "\n").collect()
    }

    /// The raw export, with these leaf lines and this note.
    pub(crate) fn export(&self, note: &str, leaf_lines: &str) -> Vec<u8> {
        let records: String = self.records.iter().map(|record| format!("{record}\n")).collect();
        format!("{records}\n{note}\n{leaf_lines}").into_bytes()
    }
}

/// A file after one random change, of the bytes or of the log behind them.
pub(crate) fn tamper(numbers: &mut Numbers, log: &mut Log) -> Vec<u8> {
    let (note, lines) = (log.checkpoint(), log.leaf_lines());
    match numbers.below(4) {
        0 => {
            let mut file = log.export(&note, &lines);
            change_bytes(numbers, &mut file);
            file
        }
        1 => {
            change_record(numbers, log);
            log.export(&note, &lines)
        }
        2 => {
            change_record(numbers, log);
            log.export(&note, &log.leaf_lines())
        }
        _ => {
            change_record(numbers, log);
            log.export(&log.checkpoint(), &log.leaf_lines())
        }
    }
}

/// Flips, drops, adds or moves bytes or lines.
pub(crate) fn change_bytes(numbers: &mut Numbers, file: &mut Vec<u8>) {
    let place = numbers.below(file.len());
    match numbers.below(6) {
        0 | 1 => file[place] ^= 1 << numbers.below(8),
        2 => drop(file.remove(place)),
        3 => file.insert(place, b"\n{}a0 \""[numbers.below(7)]),
        4 => file.truncate(place),
        _ => {
            let mut lines: Vec<Vec<u8>> = file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let (one, two) = (numbers.below(lines.len()), numbers.below(lines.len()));
            match numbers.below(3) {
                0 => lines.swap(one, two),
                1 => drop(lines.remove(one)),
                _ => lines.insert(one, lines[two].clone()),
            }
            *file = lines.concat();
        }
    }
}

/// Edits, drops, doubles or swaps records.
fn change_record(numbers: &mut Numbers, log: &mut Log) {
    if log.records.is_empty() {
        return log.records.push("{}".to_owned());
    }
    let (one, two) = (numbers.below(log.records.len()), numbers.below(log.records.len()));
    match numbers.below(8) {
        0 => log.records.swap(one, two),
        1 => drop(log.records.remove(one)),
        2 => log.records.insert(one, log.records[two].clone()),
        3 => {
            let mut bytes = log.records[one].clone().into_bytes();
            let place = numbers.below(bytes.len());
            bytes[place] = b"0123456789abc,:\"\\{}[] "[numbers.below(22)];
            log.records[one] = String::from_utf8_lossy(&bytes).into_owned();
        }
        _ => edit_field(numbers, &mut log.records[one]),
    }
}

fn edit_field(numbers: &mut Numbers, record: &mut String) {
    let mut value: Value = serde_json::from_str(record).expect("a record");
    let object = value.as_object_mut().expect("an object");
    let mut names: Vec<String> = object.keys().cloned().collect();
    let parameters = numbers.below(2) == 0 && object.get("parameters").is_some_and(Value::is_object);
    let target = if parameters {
        let inner = object["parameters"].as_object_mut().expect("an object");
        names = inner.keys().cloned().collect();
        inner
    } else {
        object
    };
    let Some(name) = names.get(numbers.below(names.len())) else {
        return;
    };
    let number = target[name].as_u64();
    match (numbers.below(4), number) {
        (0, _) => drop(target.remove(name)),
        (1, _) => drop(target.insert(["colour", "zz", "answers", "item"][numbers.below(4)].to_owned(), json!(3))),
        (2, _) => {
            drop(target.insert(name.clone(), json!([json!("x"), json!(7), json!({"size": 1})][numbers.below(3)])))
        }
        (_, Some(number)) => drop(target.insert(name.clone(), json!((number + 2).saturating_sub(numbers.next() % 4)))),
        _ => drop(target.insert(name.clone(), json!("00"))),
    }
    *record = value.to_string();
}
