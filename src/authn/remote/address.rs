//! Which addresses may be connected to for keys: those of the open Internet, and what configuration lists.
//!
//! SECURITY: an issuer's name may resolve to anything, today or tomorrow. What is not plainly a public unicast address
//! (IANA special-purpose registries, RFC 6890) is an inner one: this machine, its network, its cloud's metadata.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

/// Inner addresses that may be connected to all the same.
#[derive(Clone, Debug)]
pub(super) struct Networks(pub(super) Arc<[IpNet]>);

impl Networks {
    /// Whether an address may be connected to. An IPv4-mapped address is its IPv4 self.
    pub(super) fn permit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.0.iter().any(|network| network.contains(&address))
    }
}

/// The address that a URL's host is, if it is one and no name.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let address: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(address.to_canonical())
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., ..)
    );
    !special
}

/// Of 2000::/3, without what is special in it: protocols (2001::/23), examples, 6to4 (which carries IPv4 addresses).
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_unicast = a & 0xe000 == 0x2000;
    let special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    is_unicast && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_b02_inner_addresses_in_every_spelling_are_told_from_public_ones() {
        let nothing = Networks([].into());
        let inner = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
        ];
        for text in inner {
            assert!(!nothing.permit(text.parse().unwrap()), "{text} is an inner address");
        }
        let public = [
            "1.1.1.1",
            "100.63.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ];
        for text in public {
            assert!(nothing.permit(text.parse().unwrap()), "{text} is a public address");
        }
    }

    #[test]
    fn attack_b02_a_listed_network_is_permitted_and_no_other() {
        let listed = Networks(["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()].into());
        for (text, expected) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("10.2.0.1", false), ("::1", true), ("127.0.0.1", false)]
        {
            assert_eq!(listed.permit(text.parse().unwrap()), expected, "{text}");
        }
    }
}
