// The tabs that GraphiQL opens with. Each works as it is, in any order: the ids are those of the inputs next to them.

export interface Example {
  query: string;
  variables?: string;
}

export const EXAMPLES: Example[] = [
  {
    query: `# Returns the task's id at once.
# The same input always has the same id:
# run it again, and the outcome is CACHED.
mutation Submit {
  submitFibonacci(n: 90) {
    taskId
    outcome
    task {
      state
    }
  }
}
`,
  },
  {
    query: `# Delivers the result the moment it exists.
# This is the id of fibonacci(90): subscribe
# before you submit it, while it runs, or after.
subscription Result {
  taskResult(taskId: "b9a7c7263c0332d12e52f09809754586") {
    taskId
    state
    result {
      ... on FibonacciResult {
        n
        value
        digits
        bitLength
        sha256
      }
    }
    error {
      code
      message
    }
  }
}
`,
  },
  {
    query: `# Every change of a task: states, attempts,
# progress. Run RunAgain, then Events.
subscription Events {
  taskEvents(taskId: "f179adc3f5ca8d4c4c2b0c870e29d345") {
    seq
    kind
    state
    attempt
    progress
    at
  }
}

mutation RunAgain {
  submitFibonacci(
    n: 5000000
    options: { recompute: true }
  ) {
    taskId
    outcome
  }
}
`,
  },
  {
    query: `# What can be submitted, and what runs it.
query Cluster {
  taskTypes {
    name
    version
    description
    mutation
    arguments {
      name
      type
      required
      default
    }
  }
  cluster {
    schedulerConnected
    workers {
      name
      threads
      processing
    }
    tasks {
      state
      count
    }
  }
}
`,
  },
  {
    query: `# Many at once; if one is refused, none is submitted.
# Run SubmitMany, then ManyResults: it delivers each
# task as it ends (the latest is shown), then completes.
mutation SubmitMany($inputs: [FibonacciInput!]!) {
  submitFibonacciMany(inputs: $inputs) {
    taskId
    outcome
  }
}

subscription ManyResults($taskIds: [ID!]!) {
  taskResults(taskIds: $taskIds) {
    taskId
    state
    result {
      ... on FibonacciResult {
        n
        value
        digits
      }
    }
    error {
      code
      message
    }
  }
}
`,
    variables: JSON.stringify(
      {
        inputs: [{ n: 90 }, { n: 1000 }, { n: 5000 }],
        taskIds: ["b9a7c7263c0332d12e52f09809754586", "ba7e153e48623676b40d9f5cdf5e6a86", "6e16e7f0d4baf68e6fbf57d73ccc4f7b"],
      },
      null,
      2,
    ),
  },
];
