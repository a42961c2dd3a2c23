//! Cuts an input into chunks at places that the input itself names.

/// The first byte says how many cuts there are, the next ones how long each chunk is.
pub(crate) fn cut(input: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let Some((&cuts, rest)) = input.split_first() else { return (Vec::new(), input) };
    let cuts = usize::from(cuts % 16).min(rest.len());
    let (lengths, whole) = rest.split_at(cuts);
    let (mut chunks, mut left) = (Vec::with_capacity(cuts + 1), whole);
    for &length in lengths {
        let (chunk, after) = left.split_at(usize::from(length).min(left.len()));
        chunks.push(chunk);
        left = after;
    }
    chunks.push(left);
    (chunks, whole)
}
