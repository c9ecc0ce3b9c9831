//! Tandem load test
