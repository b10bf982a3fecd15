//! The Unix socket that every door is served on besides: who may open its file may connect; credentials are asked for all the
//! same.
//!
//! If the process dies here, the file stays; the next start removes a socket that nobody answers on, and nothing else.

use crate::config::Config;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// A socket's file, removed when dropped.
pub(super) struct UnixSocket {
    path: PathBuf,
}

impl UnixSocket {
    /// Binds `server.unix_socket`, if it is set.
    ///
    /// # Errors
    /// If the path is taken by anything but a socket that nobody answers on, or cannot be bound.
    pub(super) fn open(config: &Config) -> std::io::Result<Option<(Self, UnixListener)>> {
        if config.server.unix_socket.as_os_str().is_empty() {
            return Ok(None);
        }
        let path = config.path(&config.server.unix_socket);
        let named = |error: std::io::Error| {
            std::io::Error::new(error.kind(), format!("`server.unix_socket`: `{}`: {error}", path.display()))
        };
        if let Ok(there) = std::fs::symlink_metadata(&path)
            && there.file_type().is_socket()
            && UnixStream::connect(&path).is_err()
        {
            std::fs::remove_file(&path).map_err(named)?;
        }
        let listener = UnixListener::bind(&path).map_err(named)?;
        let socket = Self { path };
        let mode = config.server.socket_mode().unwrap_or(0o600);
        std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(mode))?;
        Ok(Some((socket, listener)))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // A file that is gone already is as good.
        let _gone = std::fs::remove_file(&self.path);
    }
}
