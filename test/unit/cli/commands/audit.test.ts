import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createChain, createProtection } from '../../../../src/audit/chain.js'
import { run } from '../../../../src/cli/run.js'
import { createFolder } from '../../../helpers/folder.js'
import { createTestRuntime } from '../../../helpers/runtime.js'

const body = (event: string) =>
  JSON.stringify({ time: '2026-12-01T00:00:00.000Z', event }).slice(1, -1)

async function verify(text: string) {
  const cwd = createFolder({ 'a.jsonl': text })
  const runtime = createTestRuntime({ cwd })
  const status = await run(runtime, ['audit', 'verify', join(cwd, 'a.jsonl')])
  return { status, stdout: runtime.stdout(), stderr: runtime.stderr() }
}

it('audit verify says how many problems there are in how much, and why a chain may have no end', async () => {
  const chain = createChain(createProtection(undefined), undefined)
  const lines = ['start', 'call', 'call'].map((event) => chain.add(body(event)))
  const whole = await verify(lines.join(''))
  expect(whole).toMatchObject({ status: 0, stderr: '' })
  expect(whole.stdout).toContain('3 records of 1 writer, whole and unchanged')
  expect(whole.stdout).toContain(
    'no `stop` record: still running, killed, or the last lines were cut off',
  )
  const gap = await verify(`${lines[0]}${lines[2]}`)
  expect(gap.status).toBe(1)
  expect(gap.stdout).toContain('\nNOT INTACT: 1 problem in 2 records of 1 writer\n')
  const other = await verify('# Read me\n\nAnother file.\n')
  expect(other.stdout).toContain('a.jsonl:1: is not an audit record (9 bytes); is this an audit')
  expect(other.stdout).toContain('NOT INTACT: 3 problems in 0 records of 0 writers')
})
