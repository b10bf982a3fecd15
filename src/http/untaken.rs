//! Connections whose client takes nothing of an answer that waits for it: the kernel ends them, after a time that the configuration says.
//! Until then it costs memory and next to no time ([`super::resting`]). A Unix socket knows no such time; whoever may open its file is of this machine.

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::rt::net::TcpStream;
use std::any::Any;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// Bounds how long what is sent over `connection` may wait for its client (`TCP_USER_TIMEOUT`, tcp(7)).
pub(super) fn limit(connection: &dyn Any, timeout: Duration) {
    let tls = || connection.downcast_ref::<TlsStream<TcpStream>>().map(|tls| tls.get_ref().0);
    let Some(stream) = connection.downcast_ref::<TcpStream>().or_else(tls) else {
        return;
    };
    let milliseconds = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream.as_fd(), milliseconds) {
        tracing::warn!(%error, "a client that takes no answers will not be ended");
    }
}
