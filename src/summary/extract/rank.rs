//! Which sentences say the most: TextRank (Mihalcea and Tarau, 2004) over the cosine of TF-IDF vectors.

use std::collections::{BTreeMap, HashMap};

use super::sentence::Sentence;
use crate::summary::language::Language;

/// PageRank's own.
const DAMPING: f32 = 0.85;
const ROUNDS_MAX: usize = 40;
const CHANGE_MIN: f32 = 1e-4;
/// Work grows with the square. Three hours of talk have some 3,000 sentences worth ranking; beyond that the longest count.
const SENTENCES_MAX: usize = 3_000;
/// Two sentences this alike say the same.
const SAME: f32 = 0.6;

/// Terms by their numbers, ascending, with their weights; of length 1. Sorted, since the order in which weights are added
/// up decides their last bit, and the same transcript is to give the same summary.
type Vector = Vec<(usize, f32)>;

/// Sentences as points in the space of their terms.
pub(super) struct Ranked {
    vectors: Vec<Vector>,
    /// 0 to 1; 0 for what was not ranked.
    pub scores: Vec<f32>,
}

impl Ranked {
    pub(super) fn new(sentences: &[Sentence], language: &Language) -> Self {
        let mut taken: Vec<usize> = (0..sentences.len()).filter(|at| sentences[*at].is_meaningful).collect();
        if taken.len() > SENTENCES_MAX {
            taken.sort_by_key(|at| (std::cmp::Reverse(sentences[*at].words.len()), *at));
            taken.truncate(SENTENCES_MAX);
            taken.sort_unstable();
        }
        let mut vectors = vec![Vector::new(); sentences.len()];
        for (at, vector) in taken.iter().zip(tf_idf(taken.iter().map(|at| &sentences[*at]), language)) {
            vectors[*at] = vector;
        }
        let scores = text_rank(&taken, &vectors);
        Self { vectors, scores }
    }

    /// Whether both say the same.
    pub(super) fn is_same(&self, one: usize, other: usize) -> bool {
        cosine(&self.vectors[one], &self.vectors[other]) > SAME
    }
}

fn tf_idf<'s>(sentences: impl Iterator<Item = &'s Sentence>, language: &Language) -> Vec<Vector> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut found_in: Vec<f32> = Vec::new();
    let mut vectors: Vec<Vector> = Vec::new();
    for sentence in sentences {
        let mut counts: BTreeMap<usize, f32> = BTreeMap::new();
        for term in sentence.terms(language) {
            let next = numbers.len();
            *counts.entry(*numbers.entry(term).or_insert(next)).or_default() += 1.0;
        }
        found_in.resize(numbers.len(), 0.0);
        counts.keys().for_each(|term| found_in[*term] += 1.0);
        vectors.push(counts.into_iter().collect());
    }
    let all = vectors.len() as f32;
    for vector in &mut vectors {
        vector.iter_mut().for_each(|(term, weight)| *weight *= (1.0 + all / found_in[*term]).ln());
        let length = vector.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|(_, weight)| *weight /= length.max(f32::MIN_POSITIVE));
    }
    vectors
}

fn text_rank(taken: &[usize], vectors: &[Vector]) -> Vec<f32> {
    let links = links(taken, vectors);
    let strength: Vec<f32> = links.iter().map(|links| links.iter().map(|(_, alike)| alike).sum()).collect();
    let mut ranks = vec![1.0_f32; taken.len()];
    for _ in 0..ROUNDS_MAX {
        let next: Vec<f32> = links
            .iter()
            .map(|links| {
                let given: f32 = links.iter().map(|(from, alike)| ranks[*from] * alike / strength[*from]).sum();
                1.0 - DAMPING + DAMPING * given
            })
            .collect();
        let change = ranks.iter().zip(&next).map(|(old, new)| (old - new).abs()).fold(0.0, f32::max);
        ranks = next;
        if change < CHANGE_MIN {
            break;
        }
    }
    let most = ranks.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let mut scores = vec![0.0; vectors.len()];
    taken.iter().zip(ranks).for_each(|(at, rank)| scores[*at] = rank / most);
    scores
}

/// For each taken sentence those it shares terms with, by their place in `taken`.
fn links(taken: &[usize], vectors: &[Vector]) -> Vec<Vec<(usize, f32)>> {
    let mut holders: HashMap<usize, Vec<(usize, f32)>> = HashMap::new();
    let mut links = vec![Vec::new(); taken.len()];
    let mut alike = vec![0.0_f32; taken.len()];
    for (place, at) in taken.iter().enumerate() {
        for (term, weight) in &vectors[*at] {
            let holders = holders.entry(*term).or_default();
            holders.iter().for_each(|(other, theirs)| alike[*other] += weight * theirs);
            holders.push((place, *weight));
        }
        for (other, alike) in alike[..place].iter_mut().enumerate().filter(|(_, alike)| **alike > 0.0) {
            links[place].push((other, *alike));
            links[other].push((place, *alike));
            *alike = 0.0;
        }
    }
    links
}

fn cosine(one: &Vector, other: &Vector) -> f32 {
    let weight_in = |term| other.binary_search_by_key(&term, |(known, _)| *known).ok().map(|at| other[at].1);
    one.iter().filter_map(|(term, weight)| Some(weight * weight_in(*term)?)).sum()
}
