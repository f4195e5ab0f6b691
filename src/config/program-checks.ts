import type { Resolution } from './resolve.js'

/** Members that say something of a program, and nothing of a URL. */
const OF_PROGRAM = ['args', 'env', 'cwd', 'maxChildren', 'maxRequests'] as const

/** Adds the problems of a target that is a program, or of one that is not and looks like it. */
export function checkProgram(target: string, resolution: Resolution): void {
  const { values, problems, warnings } = resolution
  const given = (member: string) => {
    const found = values.get(`targets.${target}.${member}`)
    return found === undefined || found.from === 'default' ? undefined : found
  }
  const key = (member: string) => `targets.${target}.${member}`
  const [url, command, transport] = ['url', 'command', 'transport'].map(given)
  if (command === undefined) {
    for (const member of OF_PROGRAM) {
      const stray = given(member)
      if (stray === undefined) continue
      problems.push(
        `${key(member)} is for a program, and there is none (${stray.from}) — write "command" in place of "url", or leave it out`,
      )
    }
    return
  }
  if (url !== undefined) {
    problems.push(
      `${key('url')} and ${key('command')} are both there (${url.from}, ${command.from}) — write one of them`,
    )
    return
  }
  if (transport !== undefined) {
    problems.push(
      `${key('transport')} is for a URL, and the target is a program (${transport.from}) — leave it out`,
    )
  }
  const type = given('credential.type')
  if (type !== undefined && type.value !== 'none' && type.value !== undefined) {
    problems.push(
      `${key('credential.type')} is ${JSON.stringify(type.value)}, and a program takes no headers (${type.from}) — leave "credential" out, and give the program its secrets in "env"`,
    )
  }
  const workers = values.get('server.workers')
  if (Number(workers?.value) > 1) {
    warnings.push(
      `The target "${target}" is a program, and each of the ${workers?.value} workers starts its own processes (${workers?.from}) — write 1 for one process a user`,
    )
  }
}
