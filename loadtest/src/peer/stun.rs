//! The two things an endpoint reads from a STUN message itself (RFC 8489 §5, RFC 8445 §7.1).

const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_BYTES: usize = 20;
const USERNAME: u16 = 0x0006;
const ICE_CONTROLLED: u16 = 0x8029;

/// For a binding request: the ufrag it is meant for, the first half of its USERNAME.
pub(super) fn wanted_ufrag(bytes: &[u8]) -> Option<&str> {
    let username = attribute(bytes, USERNAME)?;
    std::str::from_utf8(username).ok()?.split(':').next()
}

/// Whether this is a binding request whose sender claims the controlled role.
pub(super) fn claims_controlled(bytes: &[u8]) -> bool {
    attribute(bytes, ICE_CONTROLLED).is_some()
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    if bytes.len() < HEADER_BYTES || bytes[..2] != BINDING_REQUEST || bytes[4..8] != MAGIC_COOKIE {
        return None;
    }
    let mut rest = &bytes[HEADER_BYTES..];
    while rest.len() >= 4 {
        let kind = u16::from_be_bytes([rest[0], rest[1]]);
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let value = rest.get(4..4 + length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(4 + length.next_multiple_of(4)..)?;
    }
    None
}
