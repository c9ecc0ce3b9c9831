//! RTP over QUIC on the wire (draft-ietf-avtcore-rtp-over-quic-14): what a DATAGRAM frame and a unidirectional stream
//! hold. Pure; bytes in, words out.
//!
//! A datagram is `flow id (varint) | packet`, a stream `flow id (varint) | { length (varint) | packet }*`. A flow id
//! names one RTP session, its meaning is agreed elsewhere; RTCP shares it (RFC 5761). Varints are those of RFC 9000
//! section 16. Everything comes from the network: no length is believed before it is compared with what is there.

/// What we offer first: the newest draft. An RFC would make it `roq`.
pub const ALPN: &[u8] = b"roq-14";

/// Drafts whose datagrams and streams have the same shape; accepted, so that a peer need not be updated on the same day.
pub const ALPN_ACCEPTED: [&[u8]; 6] = [ALPN, b"roq-13", b"roq-12", b"roq-11", b"roq-10", b"roq-09"];

/// Opus in RTP, as every WebRTC peer numbers it (RFC 7587 leaves it dynamic).
pub const OPUS: u8 = 111;

/// The fixed part of an RTP header (RFC 3550 section 5.1).
const RTP_HEADER: usize = 12;

/// Longest packet taken from a stream: an RTP packet of a datagram network is never longer.
pub const PACKET_MAX: usize = 65_535;

/// Why a connection or stream is ended (draft section 9, "Error handling").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    None = 0x00,
    General = 0x01,
    Internal = 0x02,
    Packet = 0x03,
    StreamCreation = 0x04,
    FrameCancelled = 0x05,
    UnknownFlowId = 0x06,
    ExpectationUnmet = 0x07,
}

impl ErrorCode {
    pub const fn code(self) -> u32 {
        self as u32
    }
}

/// Names one RTP session of a connection; below 2^62.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(u64);

/// Bytes that are no RoQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it ends inside the flow id")]
    FlowId,
    #[error("it ends inside the packet's header")]
    Header,
    #[error("its RTP version is not 2")]
    Version,
    #[error("its contributing sources or its header extension reach beyond its end")]
    Extension,
    #[error("its padding is longer than its payload")]
    Padding,
    #[error("its length is beyond {PACKET_MAX}")]
    Length,
}

/// One packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Rtp(Rtp<'a>),
    /// Told apart by the second byte (RFC 5761 section 4). Not read further.
    Rtcp(&'a [u8]),
}

/// An RTP packet without contributing sources, header extension and padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtp<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub seq: u16,
    /// In ticks of the payload's clock.
    pub time: u32,
    pub ssrc: u32,
    pub payload: &'a [u8],
}

impl FlowId {
    /// `None` from 2^62 on: no varint holds it.
    pub const fn new(id: u64) -> Option<Self> {
        if id < 1 << 62 { Some(Self(id)) } else { None }
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Reads the payload of a DATAGRAM frame.
///
/// # Errors
/// [`Malformed`].
pub fn read_datagram(bytes: &[u8]) -> Result<(FlowId, Packet<'_>), Malformed> {
    let (flow, len) = read_varint(bytes).ok_or(Malformed::FlowId)?;
    Ok((FlowId(flow), Packet::read(&bytes[len..])?))
}

/// Writes the payload of a DATAGRAM frame into a vector of its own.
pub fn write_datagram(flow: FlowId, rtp: Rtp<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + RTP_HEADER + rtp.payload.len());
    write_varint(flow.0, &mut out);
    rtp.write(&mut out);
    out
}

/// Writes one packet of a stream; the stream's first also needs its flow id before it.
pub fn write_stream(first_of: Option<FlowId>, rtp: Rtp<'_>, out: &mut Vec<u8>) {
    if let Some(FlowId(flow)) = first_of {
        write_varint(flow, out);
    }
    write_varint((RTP_HEADER + rtp.payload.len()) as u64, out);
    rtp.write(out);
}

impl<'a> Packet<'a> {
    /// # Errors
    /// [`Malformed`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let &[first, second, ..] = bytes else { return Err(Malformed::Header) };
        if first >> 6 != 2 {
            return Err(Malformed::Version);
        }
        if (192..=223).contains(&second) {
            return Ok(Self::Rtcp(bytes));
        }
        let (header, rest) = bytes.split_first_chunk::<RTP_HEADER>().ok_or(Malformed::Header)?;
        let sources = 4 * usize::from(first & 0x0f);
        let mut payload = rest.get(sources..).ok_or(Malformed::Extension)?;
        if first & 0x10 != 0 {
            let &[_, _, high, low, ..] = payload else { return Err(Malformed::Extension) };
            let words = usize::from(u16::from_be_bytes([high, low]));
            payload = payload.get(4 + 4 * words..).ok_or(Malformed::Extension)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*payload.last().ok_or(Malformed::Padding)?);
            let kept = payload.len().checked_sub(padding).filter(|_| padding > 0).ok_or(Malformed::Padding)?;
            payload = &payload[..kept];
        }
        let [_, _, seq @ .., t0, t1, t2, t3, s0, s1, s2, s3] = *header;
        Ok(Self::Rtp(Rtp {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            seq: u16::from_be_bytes(seq),
            time: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            payload,
        }))
    }
}

impl Rtp<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(0x80);
        out.push(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.time.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(self.payload);
    }
}

/// Reads a stream as its bytes come, in whatever pieces. Holds at most one packet and what came with it.
#[derive(Debug, Default)]
pub struct StreamReader {
    flow: Option<FlowId>,
    bytes: Vec<u8>,
    /// Of `bytes`, already given out.
    read: usize,
}

impl StreamReader {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.read));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole packet; `None` until more bytes come.
    ///
    /// # Errors
    /// [`Malformed`]: the rest of the stream cannot be understood.
    pub fn poll(&mut self) -> Result<Option<(FlowId, Packet<'_>)>, Malformed> {
        let flow = match self.flow {
            Some(flow) => flow,
            None => {
                let Some((flow, len)) = read_varint(&self.bytes[self.read..]) else { return Ok(None) };
                self.read += len;
                *self.flow.insert(FlowId(flow))
            }
        };
        let Some((packet, len)) = read_varint(&self.bytes[self.read..]) else { return Ok(None) };
        let packet = usize::try_from(packet).ok().filter(|&len| len <= PACKET_MAX).ok_or(Malformed::Length)?;
        let begin = self.read + len;
        if self.bytes.len() - begin < packet {
            return Ok(None);
        }
        self.read = begin + packet;
        Ok(Some((flow, Packet::read(&self.bytes[begin..self.read])?)))
    }
}

/// The value and its length in bytes; `None` when it is not all there.
fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let &first = bytes.first()?;
    let len = 1 << (first >> 6);
    let rest = bytes.get(1..len)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte));
    Some((value, len))
}

fn write_varint(value: u64, out: &mut Vec<u8>) {
    debug_assert!(value < 1 << 62, "a flow id or a length");
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RTP: Rtp<'_> = Rtp { payload_type: OPUS, marker: false, seq: 0x1234, time: 960, ssrc: 7, payload: b"opus" };

    #[test]
    fn varints_are_those_of_rfc_9000_appendix_a1() {
        #[track_caller]
        fn check(bytes: &[u8], value: u64) {
            assert_eq!(read_varint(bytes), Some((value, bytes.len())));
            let mut out = Vec::new();
            write_varint(value, &mut out);
            assert_eq!(out, bytes);
        }
        check(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652);
        check(&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333);
        check(&[0x7b, 0xbd], 15_293);
        check(&[0x25], 37);
        // The same value in two bytes is no error.
        assert_eq!(read_varint(&[0x40, 0x25]), Some((37, 2)));
    }

    #[test]
    fn a_datagram_is_the_flow_id_and_the_packet_and_nothing_else() {
        let wire = write_datagram(FlowId(37), RTP);
        assert_eq!(wire, [&[0x25, 0x80, 111, 0x12, 0x34, 0, 0, 3, 0xc0, 0, 0, 0, 7], &b"opus"[..]].concat());
        assert_eq!(read_datagram(&wire), Ok((FlowId(37), Packet::Rtp(RTP))));
        assert!(FlowId::new(1 << 62).is_none());
    }

    #[test]
    fn what_another_sender_may_add_is_left_out_and_what_cannot_be_is_refused() {
        #[track_caller]
        fn check(wire: &[u8], want: Result<&[u8], Malformed>) {
            let got = read_datagram(wire).map(|(_, packet)| match packet {
                Packet::Rtp(rtp) => rtp.payload,
                Packet::Rtcp(bytes) => bytes,
            });
            assert_eq!(got, want, "{wire:x?}");
        }
        let rtp =
            |first: u8, second: u8, rest: &[u8]| [&[5, first, second, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3][..], rest].concat();
        check(&rtp(0x80, 111, b"abc"), Ok(b"abc"));
        check(&rtp(0x80, 111, b""), Ok(b""));
        // Two contributing sources.
        check(&rtp(0x82, 111, b"AAAABBBBabc"), Ok(b"abc"));
        check(&rtp(0x82, 111, b"AAAABBB"), Err(Malformed::Extension));
        // A header extension of one word, and of none.
        check(&rtp(0x90, 111, b"\xbe\xde\0\x01XXXXabc"), Ok(b"abc"));
        check(&rtp(0x90, 111, b"\xbe\xde\0\0"), Ok(b""));
        check(&rtp(0x90, 111, b"\xbe\xde\xff\xffXXXX"), Err(Malformed::Extension));
        check(&rtp(0x90, 111, b"\xbe"), Err(Malformed::Extension));
        // Padding counts itself.
        check(&rtp(0xa0, 111, b"abc\0\x02"), Ok(b"abc"));
        check(&rtp(0xa0, 111, b"\x01"), Ok(b""));
        check(&rtp(0xa0, 111, b"abc\0"), Err(Malformed::Padding));
        check(&rtp(0xa0, 111, b"\x02"), Err(Malformed::Padding));
        check(&rtp(0xa0, 111, b""), Err(Malformed::Padding));
        check(&[5, 0x80, 200, 0, 1], Ok(&[0x80, 200, 0, 1]));
        check(&rtp(0x40, 111, b"abc"), Err(Malformed::Version));
        check(&[5, 0x80, 111, 0], Err(Malformed::Header));
        check(&[5], Err(Malformed::Header));
        check(&[0x45], Err(Malformed::FlowId));
        check(&[], Err(Malformed::FlowId));
    }

    #[test]
    fn a_stream_reads_the_same_however_its_bytes_come() {
        let mut wire = Vec::new();
        let flow = FlowId(300);
        write_stream(Some(flow), RTP, &mut wire);
        write_stream(None, Rtp { seq: 2, payload: &[9; 100], ..RTP }, &mut wire);
        for piece in 1..=wire.len() {
            let mut reader = StreamReader::default();
            let mut heard = Vec::new();
            for bytes in wire.chunks(piece) {
                reader.push(bytes);
                while let Some((id, packet)) = reader.poll().unwrap() {
                    let Packet::Rtp(rtp) = packet else { panic!("RTCP") };
                    heard.push((id, rtp.seq, rtp.payload.len()));
                }
            }
            assert_eq!(heard, [(flow, 0x1234, 4), (flow, 2, 100)], "in pieces of {piece}");
        }
        let mut reader = StreamReader::default();
        reader.push(&[1, 0x80, 0x01, 0, 0]);
        assert_eq!(reader.poll(), Err(Malformed::Length));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            flow in 0..1_u64 << 62, payload_type in 0..64_u8, marker: bool, seq: u16, time: u32, ssrc: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let rtp = Rtp { payload_type, marker, seq, time, ssrc, payload: &payload };
            let wire = write_datagram(FlowId(flow), rtp);
            prop_assert_eq!(read_datagram(&wire), Ok((FlowId(flow), Packet::Rtp(rtp))));
        }

        #[test]
        fn no_bytes_upset_the_readers(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1..50_usize) {
            if let Ok((_, Packet::Rtp(rtp))) = read_datagram(&bytes) {
                prop_assert!(rtp.payload.len() + 13 <= bytes.len());
            }
            let mut reader = StreamReader::default();
            for bytes in bytes.chunks(piece) {
                reader.push(bytes);
                while let Ok(Some(_)) = reader.poll() {}
            }
            prop_assert!(reader.bytes.len() <= bytes.len());
        }
    }
}
