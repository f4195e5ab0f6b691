#!/usr/bin/env node
// Old syntax only, so that an old Node can read this file and say what is wrong.
var needed = [20, 18, 1]
var running = process.versions.node.split('.')

function isOld() {
  for (var i = 0; i < 3; i++) {
    if (Number(running[i]) !== needed[i]) return Number(running[i]) < needed[i]
  }
  return false
}

// A host shows its user what is answered to its first request, but rarely what is on stderr.
function answer(sentence) {
  var text = ''
  function done() {
    process.exit(1)
  }
  setTimeout(done, 10000)
  process.stdin.setEncoding('utf8')
  process.stdin.on('end', done)
  process.stdin.on('data', function (chunk) {
    text += chunk
    var lines = text.split('\n')
    text = lines.pop()
    for (var i = 0; i < lines.length; i++) {
      var message
      try {
        message = JSON.parse(lines[i])
      } catch (error) {
        continue
      }
      if (!message || message.id === undefined || !message.method) continue
      var reply = { jsonrpc: '2.0', id: message.id, error: { code: -32603, message: sentence } }
      process.stdout.write(JSON.stringify(reply) + '\n', done)
      return
    }
  })
}

if (isOld()) {
  var problem =
    'mcp-descope-proxy needs Node.js ' +
    needed.join('.') +
    ' or newer, and ' +
    process.execPath +
    ' is ' +
    process.versions.node +
    '; install a newer one from https://nodejs.org, or name its full path as the command.'
  process.stderr.write('error: ' + problem + '\n')
  process.exitCode = 1
  if (process.argv[2] === 'stdio') answer(problem)
} else {
  import('../dist/cli.js')
}
