use super::*;

fn records(count: usize, bytes: usize) -> Vec<NewRecord> {
    vec![NewRecord { ts: 0, payload: Bytes::from(vec![b'x'; bytes]) }; count]
}

#[test]
fn a_batch_is_not_empty_and_not_too_large() {
    assert_eq!(Batch::new(Vec::new()), Err(BadBatch::Empty));
    assert_eq!(Batch::new(records(1025, 1)), Err(BadBatch::TooMany { records: 1025 }));
    assert!(Batch::new(records(1024, 0)).is_ok());
    assert!(Batch::one(0, vec![0; PAYLOAD_MAX]).is_ok());
    let mut list = records(3, 1);
    list[2].payload = Bytes::from(vec![0; PAYLOAD_MAX + 1]);
    let error = Batch::new(list).unwrap_err();
    assert_eq!(error, BadBatch::RecordTooLarge { index: 2, bytes: PAYLOAD_MAX + 1 });
    assert_eq!(error.to_string(), "record 2 of the batch has 1000001 bytes: at most 1000000");
}
