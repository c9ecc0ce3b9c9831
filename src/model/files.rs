//! How files of recordings are made and weighed, whichever floor does it.

use std::io::{self, Read};

use aws_lc_rs::digest;

/// People of the group listen; others may not.
pub const FILE_MODE: u32 = 0o640;
pub const FOLDER_MODE: u32 = 0o750;

/// Length and SHA-256, in lower-case hex, of all there is to read.
///
/// # Errors
/// When it cannot be read.
pub fn digest(from: &mut impl Read) -> io::Result<(u64, String)> {
    digest_too(from, |_| ())
}

/// As [`digest`], giving each piece to `too` as well.
///
/// # Errors
/// When it cannot be read.
pub fn digest_too(from: &mut impl Read, mut too: impl FnMut(&[u8])) -> io::Result<(u64, String)> {
    let (mut bytes, mut sha256) = (0, digest::Context::new(&digest::SHA256));
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let len = from.read(&mut buffer)?;
        if len == 0 {
            return Ok((bytes, hex::encode(sha256.finish())));
        }
        sha256.update(&buffer[..len]);
        too(&buffer[..len]);
        bytes += len as u64;
    }
}
