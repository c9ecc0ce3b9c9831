//! Keys pressed in a call (RFC 4733): read, passed on with the other side's clock, and pressed by us.

use std::collections::VecDeque;
use std::sync::Arc;

/// One telephone-event payload (RFC 4733 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TelephoneEvent {
    /// 0–9 digits, 10 `*`, 11 `#`, 12–15 `A`–`D`. Higher codes are no keys.
    pub(super) code: u8,
    /// The key is released; sent three times.
    pub(super) end: bool,
    /// Power in dBm0 below zero, 0…63.
    pub(super) volume: u8,
    /// Since the press, in ticks of the format's own clock, which may differ from that of the packet's timestamp.
    pub(super) duration: u16,
}

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

impl TelephoneEvent {
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let &[code, flags, high, low, ..] = payload else { return None };
        Some(Self { code, end: flags & 0x80 != 0, volume: flags & 0x3f, duration: u16::from_be_bytes([high, low]) })
    }

    pub(super) fn bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }

    pub(super) fn digit(self) -> Option<char> {
        KEYS.get(usize::from(self.code)).map(|b| char::from(*b))
    }

    /// The same event in the clock of another format. A press too long for it stays at the longest it can say: the key's release
    /// is what counts.
    pub(super) fn rescaled(self, from_hz: u32, to_hz: u32) -> Self {
        let duration = u64::from(self.duration) * u64::from(to_hz) / u64::from(from_hz.max(1));
        Self { duration: u16::try_from(duration).unwrap_or(u16::MAX), ..self }
    }
}

/// Tells each press once, however many packets report it.
#[derive(Debug, Default)]
pub(super) struct Presses {
    /// Source and timestamp of the newest press, which all its packets share.
    last: Option<(u32, u32)>,
}

impl Presses {
    /// The key, if this packet is the first of a new press. A straggler of an earlier press is none.
    pub(super) fn note(&mut self, ssrc: u32, rtp_time: u32, event: TelephoneEvent) -> Option<char> {
        if let Some((source, time)) = self.last
            && source == ssrc
            && rtp_time.wrapping_sub(time) as i32 <= 0
        {
            return None;
        }
        self.last = Some((ssrc, rtp_time));
        event.digit()
    }
}

/// The clock of WhatsApp's telephone-event format; it takes no other.
pub(super) const CUSTOMER_CLOCK_HZ: u32 = 8_000;

/// Packets per press: 100 ms of tone in steps of 20 ms, then the release three times, 20 ms apart, which is the pause of 60 ms.
const TONE_STEPS: u8 = 5;
const PRESS_STEPS: u8 = TONE_STEPS + 3;

/// More than anybody types into a menu; the rest of a longer command is dropped.
const QUEUE_MAX: usize = 64;

/// Level of our keys: −10 dBm0, what telephones send.
const VOLUME: u8 = 10;

/// Keys we press ourselves, one packet each 20 ms.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    queue: VecDeque<u8>,
    step: u8,
}

/// One packet of a press.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyPacket {
    /// The press begins: its timestamp is that of this packet, and all its packets repeat it.
    pub(super) first: bool,
    pub(super) payload: Arc<[u8]>,
}

impl Keypad {
    /// Queues keys; characters that are no keys are left out.
    pub(super) fn press(&mut self, digits: &str) {
        for digit in digits.bytes() {
            let digit = digit.to_ascii_uppercase();
            if self.queue.len() < QUEUE_MAX
                && let Some(code) = KEYS.iter().position(|key| *key == digit)
            {
                self.queue.push_back(code as u8);
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next packet, due 20 ms after the one before.
    pub(super) fn next(&mut self) -> Option<KeyPacket> {
        let code = *self.queue.front()?;
        let end = self.step >= TONE_STEPS;
        let ticks_per_step = (CUSTOMER_CLOCK_HZ / 50) as u16;
        let event = TelephoneEvent {
            code,
            end,
            volume: VOLUME,
            duration: ticks_per_step * u16::from((self.step + 1).min(TONE_STEPS)),
        };
        let packet = KeyPacket { first: self.step == 0, payload: Arc::from(event.bytes().as_slice()) };
        self.step += 1;
        if self.step == PRESS_STEPS {
            self.step = 0;
            self.queue.pop_front();
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_and_changes_its_clock() {
        let event = TelephoneEvent { code: 11, end: true, volume: 10, duration: 800 };
        assert_eq!(TelephoneEvent::parse(&event.bytes()), Some(event));
        assert_eq!(event.digit(), Some('#'));
        assert_eq!(event.rescaled(8_000, 48_000).duration, 4_800);
        assert_eq!(event.rescaled(8_000, 48_000).rescaled(48_000, 8_000), event);
        assert_eq!(TelephoneEvent { duration: 20_000, ..event }.rescaled(8_000, 48_000).duration, u16::MAX);
        assert_eq!(TelephoneEvent::parse(&[1, 2, 3]), None);
    }

    #[test]
    fn a_press_is_told_once_whatever_its_packets_do() {
        let mut presses = Presses::default();
        let event = TelephoneEvent { code: 5, end: false, volume: 10, duration: 160 };
        let told: Vec<_> = [(7, 1000), (7, 1000), (7, 1000), (7, 9000), (7, 1000), (7, 9000), (8, 9000)]
            .into_iter()
            .map(|(ssrc, time)| presses.note(ssrc, time, event))
            .collect();
        assert_eq!(told, [Some('5'), None, None, Some('5'), None, None, Some('5')]);
    }

    #[test]
    fn our_press_is_a_100_ms_tone_and_three_releases() {
        let mut keypad = Keypad::default();
        keypad.press("x#");
        let mut told = Vec::new();
        while let Some(packet) = keypad.next() {
            let event = TelephoneEvent::parse(&packet.payload).unwrap();
            assert_eq!(event.digit(), Some('#'));
            told.push((packet.first, event.end, event.duration));
        }
        assert_eq!(
            told,
            [
                (true, false, 160),
                (false, false, 320),
                (false, false, 480),
                (false, false, 640),
                (false, false, 800),
                (false, true, 800),
                (false, true, 800),
                (false, true, 800)
            ]
        );
    }
}
