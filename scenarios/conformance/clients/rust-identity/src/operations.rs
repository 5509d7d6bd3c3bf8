//! Runs the operations of a program one by one, as the conformance table wants it.

use std::{error::Error, future::Future, io, process};

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub async fn run(name: &str, operation: impl Future<Output = Outcome>) {
    match operation.await {
        Ok(()) => println!("{name} ok"),
        Err(e) => {
            let text = format!("{e:?}");
            println!("{name} failed {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
            process::exit(1);
        }
    }
}

pub fn want(ok: bool, what: &str) -> Outcome {
    if ok { Ok(()) } else { Err(format!("not as expected: {what}").into()) }
}

pub fn done() -> Outcome {
    println!("round done");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
