//! The gateway's process: whether one runs, what the system lets it have, and how it says it is.

use super::Findings;
use crate::cli::Context;
use crate::cli::client::ServerOptions;
use crate::config::Config;
use rustix::process::{Flock, FlockType, Resource, fcntl_getlk, getrlimit};
use serde_json::Value;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

/// Files that a store holds open besides connections, as a rule.
const STORE_FILES: u64 = 1_024;

/// The process that has the store open, if one has. Asking takes no lock.
pub(super) fn running(config: &Config, found: &mut Findings) -> Option<i32> {
    const CHECK: &str = "process";
    let path = config.path(&config.storage.path).join("LOCK");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            found.fine(CHECK, "no gateway has opened the store yet");
            return None;
        }
        Err(error) => {
            found.unchecked(CHECK, format!("`{}`: {error}", path.display()), "run this as the gateway's user");
            return None;
        }
    };
    match fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)) {
        Ok(None) => {
            found.fine(CHECK, "no gateway runs on this store");
            None
        }
        Ok(Some(lock)) => {
            let pid = lock.pid.map_or(0, |pid| pid.as_raw_nonzero().get());
            found.fine(
                CHECK,
                format!(
                    "process {pid} has the store open; what only a start does (cutting off a torn tail) is not tried"
                ),
            );
            Some(pid)
        }
        Err(error) => {
            found.unchecked(CHECK, format!("whether a gateway runs: {error}"), "run this as the gateway's user");
            None
        }
    }
}

/// Open files, and memory that leaves for a disk.
pub(super) fn limits(config: &Config, running: Option<i32>, found: &mut Findings) {
    const CHECK: &str = "limits";
    let of_process = running.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/limits")).ok());
    let (whose, files) = match of_process.as_deref().and_then(open_files) {
        Some(files) => ("the gateway's", files),
        // `serve` takes what it may have.
        None => ("this shell's", getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)),
    };
    let wanted = u64::try_from(config.limits.connections).unwrap_or(u64::MAX).saturating_add(STORE_FILES);
    if files < wanted {
        let what =
            format!("{whose} limit of open files is {files}; `limits.connections` and the store may need {wanted}");
        found.warn(CHECK, what, format!("LimitNOFILE={wanted} in the unit (or ulimit -Hn), or fewer connections"));
    } else {
        found.fine(CHECK, format!("{whose} limit of open files is {files}"));
    }
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() > 1 {
        found.warn(
            CHECK,
            "swap is on: opened values may reach a disk",
            "switch swap off or encrypt it (MemorySwapMax=0 in the unit)",
        );
    }
}

/// The soft limit in the text of `/proc/PID/limits`.
fn open_files(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// `GET /readyz` of the gateway at `place`.
pub(super) fn readiness(context: &Context, place: &str, found: &mut Findings) {
    const CHECK: &str = "readiness";
    match context.server.ask(place, "/readyz") {
        Ok((200, _)) => found.fine(CHECK, format!("ready, by {place}/readyz")),
        Ok((_, body)) => {
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let reasons: Vec<&str> =
                body.get("reasons").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            found.invalid(CHECK, format!("not ready: {}", reasons.join(", ")), "docs/OPERATIONS.md, \"Health\"");
        }
        Err(error) => found.unchecked(
            CHECK,
            format!("{place}/readyz: {error:#}"),
            "set KEYWARD_ADDR, and KEYWARD_CACERT if it is TLS",
        ),
    }
}

/// Where to ask: as the options say, else as the configuration does.
pub(super) fn place(options: &ServerOptions, config: &Config) -> String {
    if let Some(addr) = options.chosen() {
        return addr;
    }
    let server = &config.server;
    if !server.unix_socket.as_os_str().is_empty() {
        return format!("unix:{}", config.path(&server.unix_socket).display());
    }
    let ip = match server.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    let scheme = if server.tls.is_on() { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, server.listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 1048576              files     \n";
        assert_eq!(open_files(text), Some(1024));
        assert_eq!(open_files("Max open files            unlimited  unlimited files"), Some(u64::MAX));
        assert_eq!(open_files("nothing"), None);
    }
}
