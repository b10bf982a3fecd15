//! The gateway as its callers, operators and attackers see it: every test runs the real program in an installation of
//! its own and speaks to it over the loopback. What happened is read from the verified export of the log, never from
//! the gateway's own answers alone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod attacks;
mod backup;
mod batch;
mod certificates;
mod cli;
mod coverage;
mod crash;
mod damage;
mod disk;
mod doctor;
mod edit;
mod expiry;
mod faults;
mod gateway;
mod history;
mod i13;
mod idp;
mod import;
mod inside;
mod installation;
mod join;
mod journal;
mod key_grants;
mod keys;
mod leaks;
mod lifecycle;
mod limits;
mod load;
mod openapi;
mod owners;
mod pairs;
mod provider;
mod replays;
mod rewrap;
mod root_keys;
mod run;
mod scene;
mod searches;
mod shadows;
mod smoke;
mod suggestions;
mod tags;
mod tencent;
mod terminal;
mod tls;
mod token;
mod told;
mod trail;
mod transcripts;
mod upgrade;
mod wal;
mod wire;
mod within;
