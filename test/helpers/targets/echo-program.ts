import type { TargetInput } from '../../../src/config/types.js'

/** Answers each call with all lines that it got so far, as they were written. */
const SCRIPT = `
const lines = []
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  lines.push(line)
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  const results = {
    initialize: { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'echo', version: '1' } },
    'tools/list': { tools: [{ name: 'lines', inputSchema: { type: 'object' } }] },
    'tools/call': { content: [{ type: 'text', text: JSON.stringify(lines) }] },
  }
  const result = results[method]
  const answer = result ? { result } : { error: { code: -32601, message: 'no' } }
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...answer }))
})
`

export const echoProgram = (more: TargetInput = {}): TargetInput => ({
  command: process.execPath,
  args: ['-e', SCRIPT],
  ...more,
})
