use super::*;

fn head(text: &str) -> Result<Option<Head>, BadHttp> {
    response_head(&mut BytesMut::from(text), &Method::GET)
}

/// What the body is, how it is framed at its end, and what is left, when it comes in these pieces.
fn body(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Framing), BadHttp> {
    let mut framing = framing;
    let mut whole = Vec::new();
    for piece in pieces {
        let mut came = Bytes::copy_from_slice(piece);
        while let Some(piece) = framing.next_piece(&mut came)? {
            assert!(!piece.is_empty());
            whole.extend_from_slice(&piece);
        }
    }
    Ok((whole, framing))
}

fn chunked() -> Framing {
    Framing::Chunked(Chunk::Size(Vec::new()))
}

#[test]
fn a_request_says_what_the_url_and_the_headers_say() {
    let url = Url::parse("http://u.example:81/a%20b?c=d#e").expect("a URL");
    let mut headers = HeaderMap::new();
    headers.insert("x-key", HeaderValue::from_static("v"));
    let get = request_head(&Method::GET, &url, headers.iter(), 0);
    assert_eq!(
        String::from_utf8(get).as_deref(),
        Ok(
            "GET /a%20b?c=d HTTP/1.1\r\nhost: u.example:81\r\nconnection: close\r\nx-key: v\r\n\r\n"
        )
    );
    let url = Url::parse("http://[::1]").expect("a URL");
    let post = request_head(&Method::POST, &url, HeaderMap::new().iter(), 7);
    assert_eq!(
        String::from_utf8(post).as_deref(),
        Ok("POST / HTTP/1.1\r\nhost: [::1]\r\nconnection: close\r\ncontent-length: 7\r\n\r\n")
    );
}

#[test]
fn a_head_is_read_once_it_is_whole_and_interim_answers_are_passed_over() {
    let text =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nxyz";
    let last = text.len() - 4;
    let mut came = BytesMut::new();
    for (at, byte) in text.bytes().enumerate() {
        came.extend_from_slice(&[byte]);
        let head = response_head(&mut came, &Method::GET).expect("good");
        assert_eq!(head.is_some(), at == last, "at byte {at}");
        if let Some(head) = head {
            assert_eq!(head.status, 200);
            assert_eq!(head.headers["a"], "b");
            assert_eq!(head.framing, Framing::Length(3));
            assert!(came.is_empty());
            return;
        }
    }
}

#[test]
fn the_framing_follows_the_head() {
    let framing = |fields: &str| {
        head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).map(|head| head.expect("whole").framing)
    };
    assert_eq!(framing(""), Ok(Framing::UntilEnd));
    assert_eq!(framing("Content-Length: 0\r\n"), Ok(Framing::Done));
    assert_eq!(framing("Content-Length: 5\r\nContent-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(framing("Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n"), Ok(chunked()));
    for refused in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert!(framing(refused).is_err(), "{refused}");
    }
    let none = head("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n").expect("good");
    assert_eq!(none.expect("whole").framing, Framing::Done);
}

#[test]
fn what_is_no_http_is_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(HEAD_MAX));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
    for text in
        ["SSH-2.0-x\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n", &long, &many]
    {
        assert!(head(text).is_err(), "{:?}", &text[..text.len().min(40)]);
    }
}

#[test]
fn chunks_mean_the_same_however_they_are_cut() {
    let stream =
        b"4;ext=\"a\"\r\nwiki\r\n5 \r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\nX: y\r\n\r\n";
    let whole = b"wikipedia in\r\n\r\nchunks.".to_vec();
    for cut in 0..stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(body(chunked(), &[a, b]), Ok((whole.clone(), Framing::Done)), "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(body(chunked(), &bytes), Ok((whole.clone(), Framing::Done)));
    // One byte short, it is not at its end.
    let (read, framing) = body(chunked(), &[&stream[..stream.len() - 1]]).expect("good");
    assert!(read == whole && !framing.may_end());
}

#[test]
fn chunks_that_lie_are_refused() {
    let long = [b"1;".to_vec(), vec![b'x'; LINE_MAX]].concat();
    for stream in [
        &b"x\r\n"[..],
        b"\r\n",
        b"-1\r\n",
        b"11111111111111111\r\n",
        b"1\nx",
        b"1\r\nxy\r\n",
        b"1\r\nx\n",
        &long,
    ] {
        assert!(body(chunked(), &[stream]).is_err(), "{stream:?}");
    }
}

#[test]
fn a_length_is_kept_to_and_the_end_of_the_connection_ends_the_rest() {
    let (read, framing) = body(Framing::Length(5), &[b"ab", b"cdefg"]).expect("good");
    assert_eq!((&read[..], framing), (&b"abcde"[..], Framing::Done));
    let (read, framing) = body(Framing::Length(5), &[b"ab"]).expect("good");
    assert!(read == b"ab" && !framing.may_end());
    let (read, framing) = body(Framing::UntilEnd, &[b"ab", b"c"]).expect("good");
    assert!(read == b"abc" && framing.may_end());
}

/// Everything of an answer that comes in these pieces: status, body, and how it ended.
fn answer(pieces: &[&[u8]]) -> Result<Option<(u16, Vec<u8>, Framing)>, BadHttp> {
    let mut came = BytesMut::new();
    let mut pieces = pieces.iter();
    let head = loop {
        let Some(piece) = pieces.next() else { return Ok(None) };
        came.extend_from_slice(piece);
        if let Some(head) = response_head(&mut came, &Method::GET)? {
            break head;
        }
    };
    let rest = came.freeze();
    let rest: Vec<&[u8]> = std::iter::once(&rest[..]).chain(pieces.copied()).collect();
    let (body, framing) = body(head.framing, &rest)?;
    Ok(Some((head.status.as_u16(), body, framing)))
}

#[test]
fn damaged_answers_never_panic_and_mean_the_same_however_they_are_cut() {
    const WHOLE: [&[u8]; 3] = [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n\
          3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: u\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world",
        b"HTTP/1.0 503 Busy\r\nRetry-After: 3\r\n\r\nuntil the end",
    ];
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..5_000 {
        let mut stream = WHOLE[rng.usize(..WHOLE.len())].to_vec();
        for _ in 0..rng.u32(..3) {
            let at = rng.usize(..stream.len());
            match rng.u32(..4) {
                0 => stream[at] = rng.u8(..),
                1 if stream.len() > 1 => drop(stream.remove(at)),
                2 => stream.insert(at, *rng.choice(b"\r\n;:0f ").expect("not empty")),
                _ => stream.truncate(at.max(1)),
            }
        }
        let whole = answer(&[&stream]);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let (a, b) = stream.split_at(rng.usize(..stream.len()));
        for pieces in [&[a, b][..], &bytes] {
            let cut = answer(pieces);
            // What is wrong may be found sooner or later; that it is wrong may not depend on it.
            assert_eq!(cut.as_ref().ok(), whole.as_ref().ok(), "seed {seed}: {stream:?}");
        }
    }
}
