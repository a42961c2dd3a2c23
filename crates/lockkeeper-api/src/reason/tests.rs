use std::collections::HashSet;

use super::*;

#[test]
fn each_code_word_is_used_once_and_read_back() {
    let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert_eq!(Reason::from_code(reason.code()), Some(*reason));
    }
    assert_eq!(Reason::from_code("NO_SUCH_WORD"), None);
}

#[test]
fn unavailable_is_a_503_and_allows_a_retry() {
    for reason in Reason::ALL.iter().filter(|reason| reason.grpc() == GrpcCode::Unavailable) {
        assert_eq!(reason.http_status(), 503, "{reason}");
        assert_ne!(reason.retry(), Retry::No, "{reason}");
    }
}

#[test]
fn statuses_of_the_words_that_clients_branch_on() {
    let table = [
        (Reason::SandboxExists, 409, "ALREADY_EXISTS", 6),
        (Reason::SandboxNotFound, 404, "NOT_FOUND", 5),
        (Reason::SandboxStopped, 410, "NOT_FOUND", 5),
        (Reason::NodeFull, 429, "RESOURCE_EXHAUSTED", 8),
        (Reason::StartCancelled, 499, "CANCELLED", 1),
        (Reason::StartTimeout, 504, "DEADLINE_EXCEEDED", 4),
        (Reason::TokenInvalid, 401, "UNAUTHENTICATED", 16),
        (Reason::OperationInProgress, 409, "ABORTED", 10),
        (Reason::Unsupported, 501, "UNIMPLEMENTED", 12),
    ];
    for (reason, status, name, number) in table {
        assert_eq!(reason.http_status(), status, "{reason}");
        assert_eq!((reason.grpc().as_str(), reason.grpc().number()), (name, number), "{reason}");
    }
}
