//! Stretches of the call that nobody behind the tap may hear, to the sample. Time runs on in them, as silence.

use super::SAMPLES_PER_MS;
use crate::model::recording::Pause;

/// The pauses of one call in order, as positions on its line.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    /// From and to (exclusive); `i64::MAX` while it lasts.
    spans: Vec<(i64, i64)>,
}

impl Pauses {
    /// From `at` on nothing is heard. Does nothing during a pause.
    pub fn begin(&mut self, at: i64) {
        if !self.lasts() {
            self.spans.push((at, i64::MAX));
        }
    }

    /// From `at` on everything is heard again. Does nothing outside of a pause.
    pub fn end(&mut self, at: i64) {
        if let Some((from, to)) = self.spans.last_mut()
            && *to == i64::MAX
        {
            *to = at.max(*from);
        }
    }

    /// Makes silence of what of `samples`, the first of which is at `first`, lies in a pause.
    pub fn mute(&self, first: i64, samples: &mut [[i16; 2]]) {
        for &(from, to) in &self.spans {
            let len = samples.len();
            let place = |at: i64| usize::try_from(at.saturating_sub(first)).unwrap_or(0).min(len);
            samples[place(from)..place(to)].fill([0; 2]);
        }
    }

    /// Whether any sample of `from..to` lies in a pause.
    pub fn touch(&self, from: i64, to: i64) -> bool {
        self.spans.iter().any(|&(begin, end)| from < end && begin < to)
    }

    /// In whole milliseconds, rounded so that no muted sample lies outside; of a call that is `end` long.
    pub fn told(&self, end: i64) -> Vec<Pause> {
        let ms = |at: i64| at.min(end).max(0);
        let told = |&(from, to): &(i64, i64)| Pause {
            from_ms: ms(from) / SAMPLES_PER_MS,
            to_ms: Some((ms(to) + SAMPLES_PER_MS - 1) / SAMPLES_PER_MS),
        };
        self.spans.iter().map(told).collect()
    }

    fn lasts(&self) -> bool {
        self.spans.last().is_some_and(|&(_, to)| to == i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_pause_is_silent_to_the_sample() {
        #[track_caller]
        fn check(pauses: &Pauses, first: i64, heard: &str) {
            let mut samples = vec![[1, 2]; heard.len()];
            pauses.mute(first, &mut samples);
            let got: String = samples.iter().map(|frame| if *frame == [0; 2] { '_' } else { 'x' }).collect();
            assert_eq!(got, heard, "from {first}");
            let to = first + heard.len() as i64;
            assert_eq!(pauses.touch(first, to), heard.contains('_'), "from {first}");
        }
        let mut pauses = Pauses::default();
        check(&pauses, 0, "xxxx");
        pauses.end(2);
        pauses.begin(3);
        pauses.begin(5);
        check(&pauses, 0, "xxx_____");
        check(&pauses, 1_000, "__");
        pauses.end(6);
        pauses.end(9);
        pauses.begin(8);
        pauses.end(10);
        check(&pauses, 0, "xxx___xx__xx");
        check(&pauses, 4, "__x");
        check(&pauses, 10, "xx");
        check(&pauses, 6, "xx");
    }

    #[test]
    fn what_is_told_covers_what_is_muted() {
        let mut pauses = Pauses::default();
        pauses.begin(17);
        pauses.end(33);
        pauses.begin(1_600);
        let told = |from_ms, to_ms| Pause { from_ms, to_ms: Some(to_ms) };
        assert_eq!(pauses.told(3_200), [told(1, 3), told(100, 200)]);
    }
}
