use super::*;

#[test]
fn an_error_says_whether_a_retry_can_help() {
    let full = AppendError::Full { cause: "no space left".into() };
    assert_eq!((full.kind(), full.retry()), ("full", Retry::Later));
    assert_eq!(AppendError::Fenced.retry(), Retry::Never);
    assert_eq!(ReadError::Ahead { next: 4 }.retry(), Retry::Later);
    assert_eq!(OpenError::NewerFormat { found: 2, known: 1 }.retry(), Retry::Never);
    assert_eq!(full.to_string(), "the log is full: no space left");
}
