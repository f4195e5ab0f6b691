import { appendFileSync } from 'node:fs'
import { createClock } from '../../../src/util/async.js'
import { acquireLock } from '../../../src/util/lock.js'
import { createSystem } from '../../../src/util/system.js'

/** Takes the lock a number of times, writes when it has it, and prints when it is done. */
const input = JSON.parse(process.argv[2] ?? '{}')

const clock = createClock()

const deps = { clock, system: createSystem(process, clock), folder: input.folder }

const keepAlive = setInterval(() => {}, 1_000)

for (let round = 0; round < input.rounds; round++) {
  const lease = await acquireLock(deps, 'shared', { waitMs: 60_000 })
  if (lease === undefined) throw new Error('not acquired')
  appendFileSync(input.log, `+${process.pid}\n`)
  if (input.hold) {
    process.stdout.write('"holding"\n')
    await new Promise(() => {})
  }
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
  appendFileSync(input.log, `-${process.pid}\n`)
  await lease.release()
}

process.stdout.write('"done"\n')

clearInterval(keepAlive)
