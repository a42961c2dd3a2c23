//! A small agent runner: `PORT` says where it listens, `CDP_URL` where its browser is.
//!
//! GET /health is answered once it can be; GET /events is a stream that says nothing; a posted run
//! opens a page in the browser and tells its title. The message `exit` ends the process.

use chromiumoxide::Browser;
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::{Outcome, must, say, serve_page};

pub(crate) async fn run() -> Outcome {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    eprintln!("listening");
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve(stream: TcpStream) -> Outcome {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        must(stream.read_line(&mut line).await? > 0, "the request broke off")?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let mut words = first.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some("/health")) => {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            Ok(stream.write_all(answer).await?)
        }
        (Some("GET"), Some("/events")) => {
            begin(&mut stream).await?;
            loop {
                stream.write_all(b": hb\n\n").await?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        (Some("POST"), Some("/")) => answer(&mut stream, &serde_json::from_slice(&body)?).await,
        _ => Ok(stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?),
    }
}

async fn begin(stream: &mut BufReader<TcpStream>) -> Outcome {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    Ok(stream.write_all(head).await?)
}

async fn answer(stream: &mut BufReader<TcpStream>, input: &Value) -> Outcome {
    let (thread, run) = (&input["threadId"], &input["runId"]);
    let last = input["messages"].as_array().and_then(|all| all.last());
    if last.is_some_and(|message| message["content"] == "exit") {
        std::process::exit(3);
    }
    begin(stream).await?;
    let message = format!("m-{}", run.as_str().unwrap_or_default());
    let title = title().await.unwrap_or_else(|error| error.to_string());
    for event in [
        json!({ "type": "RUN_STARTED", "threadId": thread, "runId": run }),
        json!({ "type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant" }),
        json!({ "type": "TEXT_MESSAGE_CONTENT", "messageId": message, "delta": title }),
        json!({ "type": "TEXT_MESSAGE_END", "messageId": message }),
        json!({ "type": "RUN_FINISHED", "threadId": thread, "runId": run }),
    ] {
        stream.write_all(format!("data: {event}\n\n").as_bytes()).await?;
    }
    say("answered", &json!({ "run": run }));
    Ok(())
}

/// Of a local page, in the browser of this sandbox.
async fn title() -> Outcome<String> {
    let (browser, mut handler) = Browser::connect(std::env::var("CDP_URL")?).await?;
    let driver = tokio::spawn(async move { while handler.next().await.is_some() {} });
    let page = browser.new_page(serve_page().await?.as_str()).await?;
    page.wait_for_navigation().await?;
    let title = page.get_title().await?.unwrap_or_default();
    page.close().await?;
    drop(browser);
    driver.abort();
    Ok(format!("{title} of {}", std::env::var("SANDBOX_ID")?))
}
