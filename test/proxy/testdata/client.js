// Asks through the proxy as Node.js programs do. The first argument is the proxy's address, the second the host.
'use strict'
const http = require('node:http')
const crypto = require('node:crypto')
const [proxy, host] = process.argv.slice(2)
const [address, port] = proxy.split(':')
const assert = require('node:assert')

const sum = (content) => crypto.createHash('sha256').update(content).digest('hex')
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 })
const sockets = new Set()

function ask(options, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, host: address, port, headers: { Host: host, ...options.headers }, ...options.more, method: options.method, path: options.path })
    request.on('socket', (socket) => sockets.add(socket)).on('error', reject)
    request.on('continue', () => request.end(body))
    request.on('response', (response) => {
      const pieces = []
      response.on('data', (piece) => pieces.push(piece)).on('error', reject)
      response.on('end', () => resolve({ response, body: Buffer.concat(pieces) }))
    })
    if (options.headers?.Expect) request.flushHeaders()
    else if (Array.isArray(body)) {
      for (const piece of body) request.write(piece)
      request.addTrailers({ 'X-Sum': 'trailing' })
      request.end()
    } else request.end(body)
  })
}

async function main() {
  const large = crypto.randomBytes(3 << 20)
  await Promise.all(Array.from({ length: 12 }, async () => {
    for (let i = 0; i < 25; i++) {
      const { response, body } = await ask({ method: 'GET', path: '/hello' })
      assert.equal(response.statusCode, 200)
      assert.equal(body.toString(), 'hello')
    }
  }))
  assert.ok(sockets.size <= 4, `300 requests took ${sockets.size} connections`)
  for (const body of [Buffer.alloc(0), large.subarray(0, 1), large]) {
    const { body: answer } = await ask({ method: 'POST', path: '/sum' }, body)
    assert.equal(answer.toString(), `${sum(body)} ${body.length}`)
  }
  const pieces = [large.subarray(0, 10), large.subarray(10, 100_000), large.subarray(100_000)]
  const chunked = await ask({ method: 'PUT', path: '/sum', headers: { Trailer: 'X-Sum' } }, pieces)
  assert.equal(chunked.body.toString(), `${sum(large)} ${large.length} trailing`)
  const expected = await ask({ method: 'POST', path: '/sum', headers: { Expect: '100-continue', 'Content-Length': 4 } }, 'body')
  assert.equal(expected.body.toString(), `${sum('body')} 4`)
  const trailing = await ask({ method: 'GET', path: '/trailers' })
  assert.equal(trailing.response.trailers['x-after'], 'all of it')
  const head = await ask({ method: 'HEAD', path: '/hello' })
  assert.equal(head.response.headers['content-length'], '5')
  const refused = await ask({ method: 'POST', path: '/refuse' }, large).catch((error) => error)
  assert.ok(refused.response?.statusCode === 413 || ['EPIPE', 'ECONNRESET'].includes(refused.code), String(refused))

  // fetch has a client of its own, which knows no Host but that of the URL.
  const answer = await fetch(`http://${proxy}/sum`, { method: 'POST', duplex: 'half', body: new Blob([large]).stream() })
  assert.equal(await answer.text(), `${sum(large)} ${large.length}`)
  agent.destroy()
  console.log('ok')
}

main().catch((error) => { console.error(error); process.exit(1) })
