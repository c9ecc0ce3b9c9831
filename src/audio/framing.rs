//! Opus packets taken apart into their frames and put together anew, without touching the sound (RFC 6716 section 3.2 and
//! appendix B).

use super::toc;

/// 20 ms of digital silence: a CELT frame that says so itself.
pub(super) const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

/// No frame is longer (RFC 6716 section 3.2.1).
const FRAME_BYTES_MAX: usize = 1_275;

/// The first byte's bits that are the same for all frames of a packet: configuration and channels.
pub(super) fn config(toc: u8) -> u8 {
    toc & !3
}

/// The compressed frames of a packet, `None` if it contradicts itself.
pub(super) fn frames(packet: &[u8]) -> Option<Vec<&[u8]>> {
    toc::duration_ticks(packet)?;
    let mut frames = Vec::new();
    toc::each_frame(packet, |frame| frames.push(frame))?;
    frames.iter().all(|frame| frame.len() <= FRAME_BYTES_MAX).then_some(frames)
}

/// Appends a packet of these frames; all are of this configuration. `delimited`: so that the reader finds its end without
/// being told (appendix B).
pub(super) fn write(config: u8, frames: &[&[u8]], delimited: bool, out: &mut Vec<u8>) {
    let told = match frames.len() {
        1 => {
            out.push(config);
            0
        }
        2 => {
            out.push(config | 2);
            1
        }
        count => {
            // Code 3, each frame of a length of its own, no padding.
            out.extend([config | 3, 0x80 | count as u8]);
            count.saturating_sub(1)
        }
    };
    for frame in &frames[..if delimited { frames.len() } else { told }] {
        write_len(frame.len(), out);
    }
    for frame in frames {
        out.extend_from_slice(frame);
    }
}

/// Appends a packet that is known to be sound, in the self-delimiting form.
pub(super) fn write_delimited(packet: &[u8], out: &mut Vec<u8>) {
    // By far the commonest: one frame.
    if let [toc, frame @ ..] = packet
        && toc & 3 == 0
    {
        write(*toc, &[frame], true, out);
    } else if let (Some(toc), Some(frames)) = (packet.first(), frames(packet)) {
        write(config(*toc), &frames, true, out);
    } else {
        debug_assert!(false, "only sound packets come here");
        write(config(SILENCE[0]), &[&SILENCE[1..]], true, out);
    }
}

fn write_len(len: usize, out: &mut Vec<u8>) {
    if len < 252 {
        out.push(len as u8);
    } else {
        let low = 252 + (len & 3);
        out.extend([low as u8, ((len - low) / 4) as u8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `opus_packet_parse` of the reference decoder finds.
    fn parsed(packet: &[u8]) -> Vec<Vec<u8>> {
        ::opus::packet::parse(packet).unwrap().frames.iter().map(|frame| frame.to_vec()).collect()
    }

    #[test]
    fn frames_put_together_are_read_back_by_the_reference_decoder() {
        let speech = config(9 << 3);
        for lens in [&[0][..], &[1], &[1_275], &[40, 40], &[3, 300], &[0, 0], &[7, 0, 251, 252, 253], &[1; 6]] {
            let frames: Vec<Vec<u8>> = lens.iter().map(|&len| (0..len).map(|i| i as u8).collect()).collect();
            let borrowed: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            let mut packet = Vec::new();
            // 2.5 ms frames, so that any number of these fits.
            let config = if lens.len() > 2 { config(16 << 3) } else { speech };
            write(config, &borrowed, false, &mut packet);
            assert_eq!(parsed(&packet), frames, "{lens:?}");
            assert_eq!(super::frames(&packet).unwrap(), borrowed, "{lens:?}");
        }
    }

    #[test]
    fn a_packet_that_tells_its_own_end_differs_by_the_length_of_its_last_frame() {
        #[track_caller]
        fn check(packet: &[u8], delimited: &[u8]) {
            let mut out = Vec::new();
            write_delimited(packet, &mut out);
            assert_eq!(out, delimited, "{packet:02x?}");
        }
        let toc = 9 << 3;
        check(&[toc, 1, 2, 3], &[toc, 3, 1, 2, 3]);
        check(&[toc], &[toc, 0]);
        check(SILENCE, &[0xf8, 2, 0xff, 0xfe]);
        // Two equal frames become two with lengths; padding goes.
        check(&[toc | 1, 5, 6], &[toc | 2, 1, 1, 5, 6]);
        check(&[toc | 2, 1, 5, 6, 7], &[toc | 2, 1, 2, 5, 6, 7]);
        check(&[toc | 3, 0x42, 1, 5, 6, 0], &[toc | 2, 1, 1, 5, 6]);
        let long = vec![9; 300];
        check(&[&[toc], &long[..]].concat(), &[&[toc, 252, 12], &long[..]].concat());
    }
}
