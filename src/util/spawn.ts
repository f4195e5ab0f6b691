import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import type { Clock, ProgramEnd, SpawnedProgram, System } from './runtime.js'
import type { ProcessPart } from './system.js'

/** How long the output of a program that ended is still read: what it started may keep it open. */
const LAST_OUTPUT_MS = 500

type Spawn = NonNullable<System['spawn']>

/** Creates what starts programs that end with us. Each leads a process group of its own. */
export function createSpawn(process: ProcessPart, clock: Pick<Clock, 'after'>): Spawn {
  const groups = process.platform !== 'win32'
  const running = new Set<SpawnedProgram>()
  const endAll = () => {
    for (const program of running) program.kill('SIGKILL')
  }
  return async (command, args, { env, cwd }) => {
    const { spawn } = await import('node:child_process')
    const child = spawn(command, [...args], { env, cwd, detached: groups, windowsHide: true })
    const kill: SpawnedProgram['kill'] = (signal) => {
      try {
        if (child.pid !== undefined && groups) process.kill(-child.pid, signal)
        else child.kill(signal)
      } catch {
        // it ended meanwhile
      }
    }
    const { pid, stdin, stdout, stderr } = child
    const ended = watch(child, clock).then((end) => {
      running.delete(program)
      if (running.size === 0) process.off?.('exit', endAll)
      // what it started and left behind
      if (pid !== undefined) kill('SIGKILL')
      for (const pipe of [stdin, stdout, stderr]) pipe?.destroy()
      return end
    })
    const program: SpawnedProgram = { pid, stdin, stdout, stderr, ended, kill }
    if (pid === undefined) return program
    if (running.size === 0) process.on?.('exit', endAll)
    running.add(program)
    return program
  }
}

function watch(
  child: ChildProcessWithoutNullStreams,
  clock: Pick<Clock, 'after'>,
): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    // a program that ends without reading its input is judged by its status, not by EPIPE
    // (without a process there may be no pipes)
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.on('error', () => {})
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ status: undefined, signal: undefined, error })
    })
    child.once('exit', (status, signal) => {
      const end = { status: status ?? undefined, signal: signal ?? undefined, error: undefined }
      const cancel = clock.after(LAST_OUTPUT_MS, () => resolve(end))
      child.once('close', () => {
        cancel()
        resolve(end)
      })
    })
  })
}
