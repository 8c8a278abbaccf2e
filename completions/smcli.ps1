# Completion of smcli in PowerShell, printed by `smcli completions powershell`. Pressing Tab starts no program.

Register-ArgumentCompleter -Native -CommandName smcli -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $values = @{
        'command' = [ordered]@{
            'eval' = 'Print the values of one method'
            'compare' = 'Show methods beside the truth: values, errors, what went wrong'
            'grad' = 'Show derivatives beside the truth: a gradient or a Jacobian'
            'check' = 'Judge values that other code computed: softmax, losses or derivatives in a file'
            'scan' = 'Judge many rows: counts, a histogram of errors, findings, and the worst rows'
            'limits' = 'Show where each number format overflows, underflows and stalls'
            'explain' = 'Explain a finding: what it means, why it happens, how to fix it'
            'methods' = 'List the methods: what each computes and where it comes from'
            'completions' = 'Print the script that completes the command line in a shell'
        }
        'input_format' = [ordered]@{
            'csv' = 'CSV: a line is a row, a header names the columns; cells stand between commas, semicolons or tabs.'
            'json' = 'JSON: a list of numbers, a list of rows, or an object with the logits under a key.'
            'jsonl' = 'JSON lines: one JSON value a line, read line by line.'
            'npy' = 'NumPy''s .npy: one array, mapped and not read where it is a file; a pickle is never loaded.'
            'npz' = 'NumPy''s .npz: a zip archive of arrays; one that is not compressed is mapped.'
            'safetensors' = 'safetensors: a JSON header and the bytes of the tensors behind it, mapped; nothing else is needed to read it.'
            'text' = 'Text: numbers in lines, or in the brackets that Python, NumPy, torch, JAX, TensorFlow, R, Julia, MATLAB and C write.'
        }
        'dtype' = [ordered]@{
            'float64' = '64 bits, 53 of them significant, up to 1.79769e+308.'
            'float32' = '32 bits, 24 of them significant, up to 3.40282e+38.'
            'float16' = '16 bits, 11 of them significant, up to 65504.'
            'bfloat16' = '16 bits, 8 of them significant, up to 3.38953e+38.'
            'float8_e4m3fn' = '8 bits, 4 of them significant, up to 448.'
            'float8_e5m2' = '8 bits, 3 of them significant, up to 57344.'
            'all' = 'Every number format.'
        }
        'compute' = [ordered]@{
            'float64' = '64 bits, 53 of them significant, up to 1.79769e+308.'
            'float32' = '32 bits, 24 of them significant, up to 3.40282e+38.'
            'float16' = '16 bits, 11 of them significant, up to 65504.'
            'bfloat16' = '16 bits, 8 of them significant, up to 3.38953e+38.'
            'float8_e4m3fn' = '8 bits, 4 of them significant, up to 448.'
            'float8_e5m2' = '8 bits, 3 of them significant, up to 57344.'
        }
        'sum' = [ordered]@{
            'pairwise' = 'pairwise'
            'sequential' = 'sequential'
            'compensated' = 'compensated'
        }
        'reduction' = [ordered]@{
            'none' = 'none'
            'mean' = 'mean'
            'sum' = 'sum'
            'perplexity' = 'perplexity'
        }
        'format' = [ordered]@{
            'table' = 'The table that people read: Rich, as wide as the terminal allows, and no number is ever cut.'
            'csv' = 'Comma-separated values (RFC 4180) for spreadsheets and data frames: a header, then a class a line, always whole.'
            'github' = 'Workflow commands of GitHub Actions: a finding becomes an annotation of the run.'
            'html' = 'A page that says it all: the answer and the findings first, then tables and figures. One file, no script, no link.'
            'json' = 'The JSON document that scripts rely on, written as it goes: a row, and of a long row a piece, at a time.'
            'markdown' = 'Markdown as GitHub reads it, for pasting into an issue: the answer, pipe tables, then the findings.'
            'plain' = 'Tab-separated lines for awk, sort and cut: a header, then a class a line; findings on stderr.'
            'svg' = 'The table as a picture for a README: one self-contained SVG, as wide as what it shows.'
        }
        'fail_on' = [ordered]@{
            'never' = 'Whatever is found.'
            'note' = 'Findings from note up.'
            'warning' = 'Findings from warning up.'
            'error' = 'Errors only.'
            'SM101' = 'nan-logit (error)'
            'SM102' = 'infinite-logit (error)'
            'SM103' = 'all-masked (error)'
            'SM104' = 'masked-target (note)'
            'SM201' = 'exp-overflow (error)'
            'SM202' = 'sum-overflow (error)'
            'SM203' = 'scale-overflow (error)'
            'SM204' = 'result-overflow (warning)'
            'SM301' = 'underflow-not-representable (note)'
            'SM302' = 'underflow-lost (warning)'
            'SM303' = 'log-of-zero (error)'
            'SM304' = 'zero-sum (error)'
            'SM401' = 'inaccurate (warning)'
            'SM402' = 'saturated (warning)'
            'SM403' = 'not-normalised (warning)'
            'SM404' = 'stalled-sum (warning)'
            'SM405' = 'subnormal-intermediate (warning)'
            'SM406' = 'ill-conditioned (note)'
            'SM407' = 'cumulative-sum (note)'
            'SM408' = 'cancelled-sum (warning)'
            'SM409' = 'stray-nan (error)'
            'SM410' = 'batch-differs (warning)'
            'SM411' = 'row-by-row (note)'
            'SM501' = 'backward-nan (error)'
            'SM502' = 'vanished-gradient (warning)'
            'SM503' = 'gradient-sum (warning)'
            'SM901' = 'rounded-logit (note)'
            'SM902' = 'logit-overflow (error)'
            'SM903' = 'looks-like-probabilities (warning)'
            'SM904' = 'clip-constant (note)'
        }
        'method' = [ordered]@{
            'exact' = 'The certified truth.'
            'naive' = 'Exponentiate as it is: exp overflows for large logits, underflows for small ones.'
            'shifted' = 'Subtract the maximum first: exp cannot overflow, small terms may underflow to 0.'
            'fused' = 'Stay in log space: (x - max) - log sum exp(x - max); no log of a small probability is ever taken.'
            'logspace' = 'The exponential of the fused log-softmax.'
            'explse' = 'exp(x - logsumexp): the rounding of the logsumexp costs |lse| ulps of relative accuracy.'
            'log1p' = 'Leave the maximum''s own 1 out of the sum and take log1p: a logsumexp near the maximum keeps its digits.'
            'online' = 'One pass: the running sum is rescaled whenever a larger maximum appears. Sums one after the other.'
            'online-lazy' = 'One pass that rescales only when the maximum has grown by more than 8*ln 2, so exp may reach 256.'
            'two-pass' = 'Every exponential as a mantissa and a separate exponent: no maximum is needed and nothing overflows.'
            'base2' = 'Powers of two: 2^((x - max)*log2 e).'
            'base2-fma' = 'Powers of two with the product before the shift, fused: 2^fma(x, log2 e, -max*log2 e).'
            'base2-nofma' = 'Powers of two with both products rounded before they are subtracted: an offset costs its digits.'
            'clipped' = 'Clip the probability to [eps, 1 - eps] before the log: finite, but the loss sticks at -log eps.'
            'bceloss' = 'Clamp the log of the probability at -100, as BCELoss does: finite, but no loss is above 100.'
            'epsilon' = 'Add eps before the log, log(p + eps): finite, but wrong wherever p is near eps, and the loss sticks at -log eps.'
            'bregman' = 'sum p*(e^d - 1 - d), d = log q - log p, which no log-softmax is needed for: nothing cancels where rows nearly agree.'
            'bigfloat' = 'The definition with an unbounded exponent and the format''s p bits: no overflow, yet every step still rounds.'
            'numpy' = 'NumPy as everyone writes it first: exponentials over their sum.'
            'numpy-shifted' = 'NumPy as everyone writes it next: the maximum subtracted first.'
            'scipy' = 'SciPy''s special functions; the cross-entropy is minus its log_softmax at the target, entropies are sums.'
            'torch' = 'PyTorch, eager, on the CPU; derivatives by autograd.'
            'torch-compile' = 'PyTorch, compiled by torch.compile: other kernels than the eager ones. The first call takes half a minute.'
            'jax' = 'JAX, eager, operation by operation; derivatives by jax.grad and jax.jacrev.'
            'jax-jit' = 'JAX, compiled by jax.jit: XLA fuses the operations, and may round less often.'
            'tensorflow' = 'TensorFlow with the fused loss, as its manual advises; derivatives by GradientTape.'
            'tensorflow-by-hand' = 'TensorFlow with the loss by hand, -sum y*log softmax(x), which its manual advises against.'
            'onnxruntime' = 'ONNX Runtime''s operators on the CPU.'
        }
        'quantity' = [ordered]@{
            'softmax' = 'softmax'
            'log-softmax' = 'log-softmax'
            'logsumexp' = 'logsumexp'
            'cross-entropy' = 'cross-entropy'
            'bce' = 'bce'
            'sigmoid' = 'sigmoid'
            'log-sigmoid' = 'log-sigmoid'
            'entropy' = 'entropy'
            'kl' = 'kl'
            'focal' = 'focal'
            'all' = 'All but bce.'
        }
        'method_of_compare' = [ordered]@{
            'naive' = 'Exponentiate as it is: exp overflows for large logits, underflows for small ones.'
            'shifted' = 'Subtract the maximum first: exp cannot overflow, small terms may underflow to 0.'
            'fused' = 'Stay in log space: (x - max) - log sum exp(x - max); no log of a small probability is ever taken.'
            'logspace' = 'The exponential of the fused log-softmax.'
            'explse' = 'exp(x - logsumexp): the rounding of the logsumexp costs |lse| ulps of relative accuracy.'
            'log1p' = 'Leave the maximum''s own 1 out of the sum and take log1p: a logsumexp near the maximum keeps its digits.'
            'online' = 'One pass: the running sum is rescaled whenever a larger maximum appears. Sums one after the other.'
            'online-lazy' = 'One pass that rescales only when the maximum has grown by more than 8*ln 2, so exp may reach 256.'
            'two-pass' = 'Every exponential as a mantissa and a separate exponent: no maximum is needed and nothing overflows.'
            'base2' = 'Powers of two: 2^((x - max)*log2 e).'
            'base2-fma' = 'Powers of two with the product before the shift, fused: 2^fma(x, log2 e, -max*log2 e).'
            'base2-nofma' = 'Powers of two with both products rounded before they are subtracted: an offset costs its digits.'
            'clipped' = 'Clip the probability to [eps, 1 - eps] before the log: finite, but the loss sticks at -log eps.'
            'bceloss' = 'Clamp the log of the probability at -100, as BCELoss does: finite, but no loss is above 100.'
            'epsilon' = 'Add eps before the log, log(p + eps): finite, but wrong wherever p is near eps, and the loss sticks at -log eps.'
            'bregman' = 'sum p*(e^d - 1 - d), d = log q - log p, which no log-softmax is needed for: nothing cancels where rows nearly agree.'
            'bigfloat' = 'The definition with an unbounded exponent and the format''s p bits: no overflow, yet every step still rounds.'
            'numpy' = 'NumPy as everyone writes it first: exponentials over their sum.'
            'numpy-shifted' = 'NumPy as everyone writes it next: the maximum subtracted first.'
            'scipy' = 'SciPy''s special functions; the cross-entropy is minus its log_softmax at the target, entropies are sums.'
            'torch' = 'PyTorch, eager, on the CPU; derivatives by autograd.'
            'torch-compile' = 'PyTorch, compiled by torch.compile: other kernels than the eager ones. The first call takes half a minute.'
            'jax' = 'JAX, eager, operation by operation; derivatives by jax.grad and jax.jacrev.'
            'jax-jit' = 'JAX, compiled by jax.jit: XLA fuses the operations, and may round less often.'
            'tensorflow' = 'TensorFlow with the fused loss, as its manual advises; derivatives by GradientTape.'
            'tensorflow-by-hand' = 'TensorFlow with the loss by hand, -sum y*log softmax(x), which its manual advises against.'
            'onnxruntime' = 'ONNX Runtime''s operators on the CPU.'
            'all' = 'Every formula.'
            'libraries' = 'Every library that is installed.'
        }
        'method_of_grad' = [ordered]@{
            'naive' = 'Exponentiate as it is: exp overflows for large logits, underflows for small ones.'
            'shifted' = 'Subtract the maximum first: exp cannot overflow, small terms may underflow to 0.'
            'fused' = 'Stay in log space: (x - max) - log sum exp(x - max); no log of a small probability is ever taken.'
            'logspace' = 'The exponential of the fused log-softmax.'
            'explse' = 'exp(x - logsumexp): the rounding of the logsumexp costs |lse| ulps of relative accuracy.'
            'log1p' = 'Leave the maximum''s own 1 out of the sum and take log1p: a logsumexp near the maximum keeps its digits.'
            'online' = 'One pass: the running sum is rescaled whenever a larger maximum appears. Sums one after the other.'
            'online-lazy' = 'One pass that rescales only when the maximum has grown by more than 8*ln 2, so exp may reach 256.'
            'two-pass' = 'Every exponential as a mantissa and a separate exponent: no maximum is needed and nothing overflows.'
            'base2' = 'Powers of two: 2^((x - max)*log2 e).'
            'base2-fma' = 'Powers of two with the product before the shift, fused: 2^fma(x, log2 e, -max*log2 e).'
            'base2-nofma' = 'Powers of two with both products rounded before they are subtracted: an offset costs its digits.'
            'clipped' = 'Clip the probability to [eps, 1 - eps] before the log: finite, but the loss sticks at -log eps.'
            'bceloss' = 'Clamp the log of the probability at -100, as BCELoss does: finite, but no loss is above 100.'
            'epsilon' = 'Add eps before the log, log(p + eps): finite, but wrong wherever p is near eps, and the loss sticks at -log eps.'
            'bregman' = 'sum p*(e^d - 1 - d), d = log q - log p, which no log-softmax is needed for: nothing cancels where rows nearly agree.'
            'fd' = 'Central finite differences, (f(x + h) - f(x - h)) / 2h: truncation falls with h, rounding grows.'
            'numpy' = 'NumPy as everyone writes it first: exponentials over their sum.'
            'numpy-shifted' = 'NumPy as everyone writes it next: the maximum subtracted first.'
            'torch' = 'PyTorch, eager, on the CPU; derivatives by autograd.'
            'torch-compile' = 'PyTorch, compiled by torch.compile: other kernels than the eager ones. The first call takes half a minute.'
            'jax' = 'JAX, eager, operation by operation; derivatives by jax.grad and jax.jacrev.'
            'jax-jit' = 'JAX, compiled by jax.jit: XLA fuses the operations, and may round less often.'
            'tensorflow' = 'TensorFlow with the fused loss, as its manual advises; derivatives by GradientTape.'
            'tensorflow-by-hand' = 'TensorFlow with the loss by hand, -sum y*log softmax(x), which its manual advises against.'
            'all' = 'Every formula.'
            'libraries' = 'Every library that is installed.'
        }
        'quantity_of_grad' = [ordered]@{
            'cross-entropy' = 'cross-entropy'
            'bce' = 'bce'
            'entropy' = 'entropy'
            'kl' = 'kl'
            'focal' = 'focal'
        }
        'quantity_of_check' = [ordered]@{
            'softmax' = 'softmax'
            'log-softmax' = 'log-softmax'
            'logsumexp' = 'logsumexp'
            'cross-entropy' = 'cross-entropy'
            'bce' = 'bce'
            'sigmoid' = 'sigmoid'
            'log-sigmoid' = 'log-sigmoid'
            'entropy' = 'entropy'
            'kl' = 'kl'
            'focal' = 'focal'
            'gradient' = 'gradient'
            'jacobian' = 'jacobian'
        }
        'explain' = [ordered]@{
            'SM101' = 'nan-logit (error)'
            'SM102' = 'infinite-logit (error)'
            'SM103' = 'all-masked (error)'
            'SM104' = 'masked-target (note)'
            'SM201' = 'exp-overflow (error)'
            'SM202' = 'sum-overflow (error)'
            'SM203' = 'scale-overflow (error)'
            'SM204' = 'result-overflow (warning)'
            'SM301' = 'underflow-not-representable (note)'
            'SM302' = 'underflow-lost (warning)'
            'SM303' = 'log-of-zero (error)'
            'SM304' = 'zero-sum (error)'
            'SM401' = 'inaccurate (warning)'
            'SM402' = 'saturated (warning)'
            'SM403' = 'not-normalised (warning)'
            'SM404' = 'stalled-sum (warning)'
            'SM405' = 'subnormal-intermediate (warning)'
            'SM406' = 'ill-conditioned (note)'
            'SM407' = 'cumulative-sum (note)'
            'SM408' = 'cancelled-sum (warning)'
            'SM409' = 'stray-nan (error)'
            'SM410' = 'batch-differs (warning)'
            'SM411' = 'row-by-row (note)'
            'SM501' = 'backward-nan (error)'
            'SM502' = 'vanished-gradient (warning)'
            'SM503' = 'gradient-sum (warning)'
            'SM901' = 'rounded-logit (note)'
            'SM902' = 'logit-overflow (error)'
            'SM903' = 'looks-like-probabilities (warning)'
            'SM904' = 'clip-constant (note)'
        }
        'completions' = [ordered]@{
            'bash' = 'bash'
            'fish' = 'fish'
            'powershell' = 'powershell'
            'zsh' = 'zsh'
        }
    }
    $lists = @('dtype', 'fail_on', 'quantity', 'method_of_compare', 'method_of_grad', 'quantity_of_grad', 'explain')  # these fit several times, with commas between them
    $options = @(
        @{ In = ''; Names = '--version'; Takes = ''; Help = 'Print the version.' }
        @{ In = '', 'eval', 'compare', 'grad', 'check', 'scan', 'limits', 'explain', 'methods', 'completions'; Names = '-h', '--help'; Takes = ''; Help = 'Show this message and exit.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--input-format'; Takes = 'input_format'; Help = 'Kind of the input: csv, json, jsonl, npy, npz, safetensors, text.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--key'; Takes = 'text'; Help = 'Which array to read from a file that holds several.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--columns'; Takes = 'text'; Help = 'Which columns of a CSV file with a header hold the logits.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--target-column'; Takes = 'text'; Help = 'Which column of a CSV file with a header holds the target.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--axis'; Takes = 'text'; Help = 'Which axis of an array or of nested lists the classes are.' }
        @{ In = 'eval', 'compare', 'grad'; Names = '-i', '--input'; Takes = 'files'; Help = 'Read the logits from a file; ''-'' is standard input.' }
        @{ In = 'eval', 'compare', 'grad', 'check'; Names = '--rows'; Takes = 'text'; Help = 'Which rows of a batch to take, as a Python slice.' }
        @{ In = 'eval', 'compare', 'grad'; Names = '-d', '--dtype'; Takes = 'dtype'; Help = 'Number format to compute in: float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2; several, or all, to compare formats.' }
        @{ In = 'eval', 'compare', 'grad', 'scan'; Names = '--compute'; Takes = 'compute'; Help = 'Compute in this wider format and round the result once to --dtype, as kernels do.' }
        @{ In = 'eval', 'compare', 'grad', 'scan'; Names = '--accumulate'; Takes = 'compute'; Help = 'Number format of running sums.' }
        @{ In = 'eval', 'compare', 'grad', 'scan'; Names = '--sum'; Takes = 'sum'; Help = 'How sums are added up: pairwise, sequential or compensated.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '-T', '--temperature'; Takes = 'text'; Help = 'Divide the logits by T.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--softcap'; Takes = 'text'; Help = 'Apply CAP*tanh(x/CAP) to the logits.' }
        @{ In = 'eval', 'compare', 'grad', 'check'; Names = '--digits'; Takes = 'text'; Help = 'Significant digits of the truth, 1 to 10000.' }
        @{ In = 'eval', 'compare', 'grad'; Names = '--confirm'; Takes = ''; Help = 'Compute every digit of the truth once more by other arithmetic, mpmath and python-flint.' }
        @{ In = 'eval', 'compare', 'grad'; Names = '--trace'; Takes = ''; Help = 'Show the steps of every method: the range of each, and where it first went wrong.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '-t', '--target'; Takes = 'files'; Help = 'The right class, counted from 0; for a batch a list (0,2,1) or a file.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--labels'; Takes = 'files'; Help = 'Soft labels, one for each class, or a file of them.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--label-smoothing'; Takes = 'text'; Help = 'Turn the labels y into y(1 - E) + E/K, K being the number of classes.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--class-weights'; Takes = 'files'; Help = 'Weights of the classes in the loss.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--z-loss'; Takes = 'text'; Help = 'Add Z*logsumexp^2 to the loss.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--ignore-index'; Takes = 'text'; Help = 'Leave out rows with this target.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--against'; Takes = 'files'; Help = 'kl: the logits of the teacher, or a file of rows of them; FILE:KEY is one of its arrays.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--reverse'; Takes = ''; Help = 'kl: from the logits to the teacher, not from the teacher to them.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--gamma'; Takes = 'text'; Help = 'focal: the exponent of 1 - p.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--coefficients'; Takes = 'text'; Help = 'logsumexp: log of the absolute value of sum B*exp(x), with a factor of either sign for each class.' }
        @{ In = 'eval', 'compare', 'grad', 'check'; Names = '--reduction'; Takes = 'reduction'; Help = 'Combine the losses of the rows: none, mean, sum, or perplexity: exp of the mean.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan', 'limits', 'explain', 'methods'; Names = '-f', '--format'; Takes = 'format'; Help = 'Output format: table, csv, github, html, json, markdown, plain, svg.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan', 'limits', 'explain', 'methods'; Names = '-o', '--output'; Takes = 'files'; Help = 'Write to a file, in the format of its suffix unless -f names one.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan', 'limits', 'explain', 'methods'; Names = '--no-color'; Takes = ''; Help = 'No colours, whatever the terminal.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--summary'; Takes = ''; Help = 'Show only the summary of a batch.' }
        @{ In = 'eval', 'compare', 'grad', 'scan'; Names = '--fail-on'; Takes = 'fail_on'; Help = 'Exit with 1 on findings: never, note, warning, error, or codes.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--max-ulp'; Takes = 'text'; Help = 'Call a value accurate up to X ulp from the truth, and exit with 1 beyond that.' }
        @{ In = 'eval', 'compare', 'grad', 'check', 'scan'; Names = '--max-rel'; Takes = 'text'; Help = 'Call a value accurate up to a relative error of X, and exit with 1 beyond that.' }
        @{ In = 'eval', 'compare', 'grad', 'check'; Names = '--all'; Takes = ''; Help = 'Show every class of long rows, and every row of a batch.' }
        @{ In = 'eval', 'compare', 'grad', 'check'; Names = '--top'; Takes = 'text'; Help = 'Show the N classes of a long row that matter most.' }
        @{ In = 'eval', 'compare', 'grad', 'check'; Names = '-v', '--verbose'; Takes = ''; Help = 'Also show errors in ulp, verdicts, bounds and condition numbers.' }
        @{ In = 'eval', 'compare', 'grad', 'check'; Names = '--plot'; Takes = 'files'; Help = 'Also draw values and errors to an .svg file.' }
        @{ In = 'eval'; Names = '-m', '--method'; Takes = 'method'; Help = 'The method whose values to print; exact is the certified truth.' }
        @{ In = 'eval'; Names = '-q', '--quantity'; Takes = 'quantity'; Help = 'What to compute: softmax, log-softmax, logsumexp, cross-entropy, bce, sigmoid, log-sigmoid, entropy, kl, focal.' }
        @{ In = 'compare', 'scan'; Names = '-m', '--method'; Takes = 'method_of_compare'; Help = 'Methods to run: names, all, libraries, or module:function of your own; `smcli methods` lists them.' }
        @{ In = 'compare'; Names = '-q', '--quantity'; Takes = 'quantity'; Help = 'What to compute: softmax, log-softmax, logsumexp, cross-entropy, bce, sigmoid, log-sigmoid, entropy, kl, focal.' }
        @{ In = 'grad'; Names = '-m', '--method'; Takes = 'method_of_grad'; Help = 'Methods to run: names, all, libraries, or module:function of your own; fd is finite differences.' }
        @{ In = 'grad'; Names = '-q', '--quantity'; Takes = 'quantity_of_grad'; Help = 'The loss to differentiate: cross-entropy or bce or entropy or kl or focal.' }
        @{ In = 'grad'; Names = '--step'; Takes = 'text'; Help = 'Step of finite differences, the method fd.' }
        @{ In = 'grad'; Names = '--cotangent'; Takes = 'text'; Help = 'Compute the product of this vector and the Jacobian of softmax.' }
        @{ In = 'grad'; Names = '--sweep'; Takes = ''; Help = 'Show the error of finite differences for many steps, and the best step.' }
        @{ In = 'check'; Names = '-d', '--dtype'; Takes = 'dtype'; Help = 'Number format of the outputs; the logits are rounded to it, too, or to --logits-dtype.' }
        @{ In = 'check'; Names = '--fail-on'; Takes = 'fail_on'; Help = 'Exit with 1 on findings: never, note, warning, error, or codes.' }
        @{ In = 'check'; Names = '--logits-dtype'; Takes = 'compute'; Help = 'Number format in which the code that is checked took the logits.' }
        @{ In = 'check'; Names = '-q', '--quantity'; Takes = 'quantity_of_check'; Help = 'What the outputs are values of: softmax, log-softmax, logsumexp, cross-entropy, bce, sigmoid, log-sigmoid, entropy, kl, focal, gradient, jacobian.' }
        @{ In = 'check'; Names = '--out-key'; Takes = 'text'; Help = 'Which array of OUT to read; --key is that of LOGITS.' }
        @{ In = 'check'; Names = '--rtol'; Takes = 'text'; Help = 'Judge a tolerance, too: |output - truth| <= A + R*|truth|; for the exit code: --max-rel.' }
        @{ In = 'check'; Names = '--atol'; Takes = 'text'; Help = 'The A of --rtol.' }
        @{ In = 'scan'; Names = '-d', '--dtype'; Takes = 'dtype'; Help = 'Number format to compute in: float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2.' }
        @{ In = 'scan'; Names = '-q', '--quantity'; Takes = 'quantity'; Help = 'What to compute: softmax, log-softmax, logsumexp, cross-entropy, bce, sigmoid, log-sigmoid, entropy, kl, focal.' }
        @{ In = 'scan'; Names = '--quick'; Takes = ''; Help = 'Compute nothing: look for nan, inf, masked rows, and logits that exp cannot take.' }
        @{ In = 'scan'; Names = '--jobs'; Takes = 'text'; Help = 'How many processes work; the result is the same.' }
        @{ In = 'scan'; Names = '--scheduler'; Takes = 'text'; Help = 'Let the workers of a Dask cluster work instead, such as tcp://host:8786.' }
        @{ In = 'scan'; Names = '--keep-going'; Takes = ''; Help = 'Go on past a file that cannot be read, and exit with 2 at the end.' }
        @{ In = 'limits'; Names = '--compute'; Takes = 'compute'; Help = 'Show what computing in this wider format does to logits of the formats.' }
    )
    $arguments = @{
        '' = 'command'
        'check' = 'input'
        'scan' = 'input'
        'limits' = 'dtype'
        'explain' = 'explain'
        'completions' = 'completions'
    }

    $command = ''
    $takes = ''
    $onlyArguments = $false
    $before = $commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition }
    foreach ($word in @($before | Select-Object -Skip 1 | ForEach-Object { $_.Extent.Text })) {
        if ($takes) { $takes = '' }
        elseif ($onlyArguments -or $word -match '^-(\.?[0-9]|\.?inf|nan|$)') { }
        elseif ($word -eq '--') { $onlyArguments = $true }
        elseif ($word.StartsWith('-')) {
            $takes = $options | Where-Object { $_.In -ccontains $command -and $_.Names -ccontains $word } | ForEach-Object { $_.Takes }
        }
        elseif (-not $command) { $command = $word }
    }

    $kept = ''
    $typed = "$wordToComplete"
    $mine = @($options | Where-Object { $_.In -ccontains $command })
    if (-not $takes -and -not $onlyArguments -and $typed.StartsWith('-')) {
        if ($typed -cnotmatch '^(--[^=]+)=(.*)$') {
            foreach ($option in $mine) {
                foreach ($name in $option.Names) {
                    if ($name.StartsWith($typed)) {
                        [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterName', $option.Help)
                    }
                }
            }
            return
        }
        $name, $typed = $Matches[1], $Matches[2]
        $kept = "$name="
        $takes = $mine | Where-Object { $_.Names -ccontains $name } | ForEach-Object { $_.Takes }
    }
    elseif (-not $takes) { $takes = $arguments[$command] }

    if (-not $takes -or -not $values.ContainsKey($takes)) { return }  # PowerShell then lists files by itself
    if ($lists -contains $takes -and $typed -match '^(.*,)([^,]*)$') {
        $kept += $Matches[1]
        $typed = $Matches[2]
    }
    foreach ($value in $values[$takes].GetEnumerator()) {
        if ($value.Key.StartsWith($typed)) {
            [System.Management.Automation.CompletionResult]::new($kept + $value.Key, $value.Key, 'ParameterValue', $value.Value)
        }
    }
}
