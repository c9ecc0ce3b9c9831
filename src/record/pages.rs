//! The pages of an Ogg file, whatever is in them (RFC 3533 section 6).

use std::io::{self, Read};

use super::ogg::SERIAL;

const HEADER_BYTES: usize = 27;
const LAST: u8 = 4;

/// The pages of a file from its beginning; damage ends them.
pub(super) struct Pages<R> {
    from: R,
    at: u64,
}

/// One page.
pub(super) struct Page {
    /// Behind its last byte.
    pub(super) end: u64,
    /// Position of the last packet that ends on it; in a file of ours that is one.
    pub(super) granule: u64,
    pub(super) sequence: u32,
    /// Whether the stream ends with it.
    pub(super) is_last: bool,
    /// Whether its last packet goes on on the next.
    pub(super) is_open: bool,
    pub(super) body: Vec<u8>,
}

impl<R: Read> Pages<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, at: 0 }
    }

    fn read(&mut self) -> io::Result<Option<Page>> {
        let mut page = vec![0; HEADER_BYTES];
        self.from.read_exact(&mut page)?;
        let segments = usize::from(page[HEADER_BYTES - 1]);
        page.resize(HEADER_BYTES + segments, 0);
        self.from.read_exact(&mut page[HEADER_BYTES..])?;
        let body_bytes: usize = page[HEADER_BYTES..].iter().map(|&bytes| usize::from(bytes)).sum();
        let body_at = page.len();
        page.resize(body_at + body_bytes, 0);
        self.from.read_exact(&mut page[body_at..])?;
        let checksum = u32::from_le_bytes(page[22..26].try_into().expect("four bytes"));
        if !page.starts_with(b"OggS\0") || checksum != checksum_of(&mut page) {
            return Ok(None);
        }
        self.at += page.len() as u64;
        Ok(Some(Page {
            end: self.at,
            granule: u64::from_le_bytes(page[6..14].try_into().expect("eight bytes")),
            sequence: u32::from_le_bytes(page[18..22].try_into().expect("four bytes")),
            is_last: page[5] & LAST != 0,
            is_open: page[HEADER_BYTES..body_at].last() == Some(&255),
            body: page.split_off(body_at),
        }))
    }
}

impl<R: Read> Iterator for Pages<R> {
    type Item = io::Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.read() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            page => page.transpose(),
        }
    }
}

/// A page without packets that ends a stream (RFC 3533 section 4: a nil page).
pub(super) fn nil_page(granule: u64, sequence: u32) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(LAST);
    page.extend(granule.to_le_bytes());
    page.extend(SERIAL.to_le_bytes());
    page.extend(sequence.to_le_bytes());
    page.extend([0; 5]);
    let checksum = checksum_of(&mut page);
    page[22..26].copy_from_slice(&checksum.to_le_bytes());
    page
}

/// CRC-32 of a page whose own checksum counts as zeros: polynomial 0x04c11db7, nothing reflected or inverted. Clears it.
fn checksum_of(page: &mut [u8]) -> u32 {
    page[22..26].fill(0);
    page.iter().fold(0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| (crc << 1) ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}
