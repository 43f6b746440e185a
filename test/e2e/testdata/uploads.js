// Uploads by HTTP/2 through the proxy until its input ends: several at a time by one connection, each in pieces and only once. It asks by
// another connection when the proxy wants to end the one that it has. What it has queued but not sent by then it refuses itself, and does once
// more. The arguments are the proxy's address, the host and the file of the root.
'use strict'
const crypto = require('node:crypto')
const fs = require('node:fs')
const http2 = require('node:http2')
const tls = require('node:tls')
const { setTimeout: wait } = require('node:timers/promises')
const [proxy, host, root] = process.argv.slice(2)
const [address, port] = proxy.split(':')
const ca = fs.readFileSync(root)

let session
let connections = 0
let uploads = 0
let unsent = 0
let isOver = false

function connection() {
  if (!session || session.closed || session.destroyed) {
    connections++
    session = http2.connect(`https://${host}`, {
      createConnection: () => tls.connect({ host: address, port, servername: host, ca, ALPNProtocols: ['h2'] })
    })
    const its = session
    its.on('error', fail).on('goaway', (_, last) => { its.last = last })
  }
  return session
}

async function upload() {
  const pieces = [crypto.randomBytes(1000), crypto.randomBytes(20_000)]
  const its = connection()
  const stream = its.request({ ':method': 'POST', ':path': '/sum' })
  const answered = new Promise((resolve, reject) => {
    let text = ''
    stream.setEncoding('utf8').on('data', (piece) => { text += piece }).on('end', () => resolve(text)).on('error', reject)
    stream.on('response', (headers) => { if (headers[':status'] !== 200) reject(new Error(`status ${headers[':status']}`)) })
  })
  stream.write(pieces[0])
  setTimeout(() => { if (!stream.destroyed) stream.end(pieces[1]) }, 5)
  const sum = crypto.createHash('sha256').update(Buffer.concat(pieces)).digest('hex')
  const text = await answered.catch((error) => {
    // Only what is behind the last stream that the proxy has named may have been thrown away by it.
    if (stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM && stream.id <= its.last) return null
    throw error
  })
  if (text === null) {
    unsent++
    return
  }
  if (!text.endsWith(`${sum} 21000`)) throw new Error(`the answer is ${text}`)
  uploads++
}

function fail(error) {
  console.error(new Date().toISOString(), error)
  process.exitCode = 1
}

async function user() {
  for (; !isOver; await wait(10)) await upload().catch(fail)
}

process.stdin.on('end', () => { isOver = true }).resume()
Promise.all([user(), user(), user(), user()]).then(() => {
  session.close()
  console.log(`${uploads} uploads by ${connections} connections, and ${unsent} that were not sent at first`)
})
