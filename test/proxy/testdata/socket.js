// Talks by a WebSocket of Node.js through the proxy, whose address is the argument, with an app that sends back what it gets.
// It prints "ready" when all has come back, and then how the WebSocket was closed.
'use strict'
const assert = require('node:assert')
const socket = new WebSocket(`ws://${process.argv[2]}/socket`)
socket.binaryType = 'arraybuffer'
const messages = ['', 'text', 'ä€😀', ...[125, 126, 127, 65535, 65536, 1 << 20].map((n) => '*'.repeat(n)), new Uint8Array(70_000).fill(7)]
for (let i = 0; i < 1000; i++) messages.push(`message ${i}`)
let received = 0

socket.onopen = () => messages.forEach((each) => socket.send(each))
socket.onerror = (event) => console.log('error', event.message ?? event.error)
socket.onclose = (event) => { console.log('closed', event.code, event.wasClean); process.exit(0) }
socket.onmessage = (event) => {
  const want = messages[received++]
  assert.deepStrictEqual(typeof want === 'string' ? event.data : new Uint8Array(event.data), want)
  if (received === messages.length) console.log('ready')
}
setTimeout(() => { console.log('timeout after', received); process.exit(1) }, 15_000).unref()
